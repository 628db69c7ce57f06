-- A claim that rests has no call under way: its last try asked for patience. Whoever comes after not_before goes on with it, and with the
-- count of its tries; null: it does not rest.
alter table leat.claims add column not_before timestamptz, add column tries integer not null default 0;

-- They give or take more now.
drop function if exists leat.claim_nodes(uuid, uuid, uuid, bigint, integer), leat.reap_claims(integer, integer);
