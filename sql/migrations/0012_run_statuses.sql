-- How many runs there are of a status: what `leat status` counts.
create index runs_of_status on leat.runs (status);
