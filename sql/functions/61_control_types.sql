-- What the control lane hands around: an intent, and how it was decided.

do $$
begin
	-- One intent of LEAT_CONTROL. actor: Leat-Actor. target: the workflow, interaction or user that its body names. body: null when the decoder
	-- rejected it.
	create type leat.control_intent as (position bigint, at timestamptz, tenant uuid, role text, noun text, verb text, target uuid, actor text,
		body jsonb);

	-- code null: applied, and result goes into the ledger's detail and the outcome. Otherwise rejected, and message says why, for people.
	create type leat.decision as (code text, message text, result jsonb);
exception when duplicate_object then null;
end
$$;
