-- For any SQL client.

-- Takes a node of a run to another status, with all that follows; returns the run as it is then, null where there is none. Fails, and changes
-- nothing, where leat.node_transitions() does not lead there, or the node cannot begin yet. For service_role. Lock: the run's row.
create or replace function leat.update_node_state(p_run_id uuid, p_node_id text, p_status text, p_output jsonb default null,
	p_error text default null) returns leat.runs
language plpgsql security invoker set search_path = pg_catalog
as $$
declare
	v_run leat.runs;
	v_fact leat.run_fact;
	v_done record;
begin
	select r.* into v_run from leat.runs r where r.id = p_run_id for update;
	if not found then
		return null;
	end if;
	v_fact.at := clock_timestamp();
	v_fact.tenant := v_run.tenant_id;
	v_fact.role := 'engine';
	v_fact.verb := 'state';
	v_fact.body := convert_to((jsonb_build_object('node_id', p_node_id, 'status', p_status)
		|| case when p_output is null then '{}' else jsonb_build_object('output', p_output) end
		|| case when p_error is null then '{}' else jsonb_build_object('error', p_error) end)::text, 'UTF8');
	v_done := leat.fold_run(v_run, array[v_fact]);
	if v_done.codes[1] is not null or v_done.details[1] ? 'ignored' then
		raise exception using errcode = 'invalid_parameter_value',
			message = coalesce(v_done.messages[1], format('node "%s" cannot become %s: %s', p_node_id, p_status, v_done.details[1] ->> 'ignored')),
			hint = 'leat.node_transitions() has the changes that there are; run.retry starts failed nodes again.';
	end if;
	v_run := v_done.p_run;
	update leat.runs r
	set status = v_run.status, node_states = v_run.node_states, updated_at = v_run.updated_at, finished_at = v_run.finished_at,
		ready_since = v_run.ready_since
	where r.id = p_run_id;
	if v_done.woke then
		insert into leat.outbox (subject, headers, body)
		values (leat.resume_subject(v_run.tenant_id), leat.resume_headers(v_run.traceparent), leat.resume_body(v_run.id));
	end if;
	if v_done.ended is not null then
		delete from leat.claims c where c.run_id = p_run_id and c.node_id = v_done.ended[1];
	end if;
	perform leat.note_direct_change('run', v_run.tenant_id, p_run_id);
	return v_run;
end
$$;
