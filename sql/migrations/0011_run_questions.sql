-- How often its node had been retried when a question of a run was asked: an answer to an earlier one is not told to the run. Null: it is of no
-- run, or direct SQL asked it.
alter table leat.interactions add column generation integer;
