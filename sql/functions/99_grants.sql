-- Who may call and touch what. Runs whenever a file of functions changed, after all of them: Postgres lets everybody call a new function.
--
-- service_role: all that the lanes do. authenticated: the entities of its tenant, under row-level security, and the functions that write
-- to them; what its policies show it of members, workflows, runs and questions; no rights on ledger, outbox or audit log. What has a trigger or
-- owner's rights (SECURITY DEFINER) is called by nobody else, but for what policies ask and the claim of a question to oneself.

grant usage on schema leat to authenticated, service_role;
revoke all on all functions in schema leat from public, authenticated;
grant execute on all functions in schema leat to service_role;

grant select, insert, update, delete on leat.entities, leat.activity, leat.message_ids, leat.parked, leat.outbox, leat.stream_epochs,
	leat.stream_floors, leat.processes, leat.members, leat.workflows, leat.interactions, leat.claims, leat.direct_changes,
	leat.told_answers to service_role;
grant select, insert, update on leat.runs to service_role;
grant select, insert on leat.workflow_versions to service_role;
grant select on leat.audit_log, leat.schema_files, leat.schema_objects, leat.workflow_nodes, leat.workflow_plans to service_role;

grant select, insert, update on leat.entities to authenticated;
grant select on leat.members, leat.workflows, leat.workflow_versions, leat.interactions, leat.runs to authenticated;
do $$
declare
	v_function regprocedure;
begin
	-- by name: what a user's intents and the direct merges run, all of it SECURITY INVOKER
	for v_function in
		select p.oid::regprocedure from pg_proc p
		where p.pronamespace = 'leat'::regnamespace and not p.prosecdef and p.proname = any (array[
			'merge_entity_content', 'merge_entity_metadata', 'expect_object', 'direct_marks', 'current_tenant', 'current_user_id',
			'newer_fields', 'fields_since', 'fields_at', 'names_at', 'fields_without', 'upserts_that_matter', 'positions_of', 'merged',
			'target_state', 'part_after', 'entity_after', 'change_entities', 'change_unlocked', 'upsert_entity', 'absent_message',
			'write_entity_intent', 'write_entity_groups', 'merge_entity_groups', 'claim_interaction'])
	loop
		execute format('grant execute on function %s to authenticated', v_function);
	end loop;
end
$$;
grant execute on function leat.current_member_role(), leat.claim_own_interaction(uuid, uuid, text, uuid) to authenticated;

-- pg_temp is searched before anything else, for types too, unless a search_path names it: whoever may make temporary objects could lend a
-- trigger function a type `text` with a CHECK of their own, which then runs with the owner's rights.
do $$
declare
	v_function regprocedure;
begin
	for v_function in
		select p.oid::regprocedure from pg_proc p
		where p.pronamespace = 'leat'::regnamespace and 'search_path=pg_catalog' = any (p.proconfig)
	loop
		execute format('alter function %s set search_path = pg_catalog, pg_temp', v_function);
	end loop;
end
$$;
