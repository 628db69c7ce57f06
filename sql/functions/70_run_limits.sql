-- Limits of runs, each once. They are constants and no settings, since a fold that depended on a process's settings would not be the same in a
-- replay.

-- The longest body of an intent, the default of --max-body-bytes, and what a run.node may hold in it besides the output.
create or replace function leat.most_body_bytes() returns integer
language sql immutable parallel safe
return 524288;

create or replace function leat.fact_envelope_bytes() returns integer
language sql immutable parallel safe
return 1024;

-- Of an output, as Postgres writes it.
create or replace function leat.most_output_bytes() returns integer
language sql immutable parallel safe
return leat.most_body_bytes() - leat.fact_envelope_bytes();

-- Of all outputs that a collect puts together, as they are stored: 32 MiB.
create or replace function leat.most_collected_bytes() returns integer
language sql immutable parallel safe
return 64 * leat.most_body_bytes();

create or replace function leat.most_split_items() returns integer
language sql immutable parallel safe
return 1000;

-- The highest attempt that a service may name: far above any that there is, and as far below what an integer holds, since the next attempts
-- count on from there.
create or replace function leat.most_told_attempts() returns integer
language sql immutable parallel safe
return 1000000000;
