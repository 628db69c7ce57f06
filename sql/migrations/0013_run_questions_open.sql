-- The questions that a run waits for.
create index interactions_of_run on leat.interactions (run_id) where status = 'open';
