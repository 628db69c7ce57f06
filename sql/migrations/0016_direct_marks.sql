-- What direct calls wrote (sql/functions/70_direct_merge.sql), so that `leat verify` tells it from divergence: by part and field, the position
-- that the call took and the MD5 of the value. Null: nothing. A mark that is overtaken stays, and says nothing any more.
alter table leat.entities add column direct jsonb;
