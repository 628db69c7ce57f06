-- What is said of a settled intent: to whoever asked for a reply, and to operators.

do $$
begin
	-- How one intent ends; ord counts from 1. status: applied, duplicate, rejected; parked (decided later); known (settled before). reply
	-- goes to Leat-Reply-To, short_reply when that is over the server's limit.
	create type leat.settled as (ord bigint, status text, code text, position bigint, reply text, short_reply text);
exception when duplicate_object then null;
end
$$;

-- Outcome as in design.md section 3, as JSON text. p_result null: none.
create or replace function leat.outcome(p_status text, p_position bigint, p_code text, p_message text, p_result jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog
return rtrim(json_strip_nulls(json_build_object('status', p_status, 'position', p_position, 'code', p_code, 'message', p_message))::text, '}')
	|| coalesce(',"result":' || p_result::text, '') || '}';

-- An entity as it is now; null when there is no such row.
create or replace function leat.entity_result(p_tenant uuid, p_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return (
		select jsonb_build_object('entity_id', e.id, 'content', e.content, 'metadata', e.metadata, 'skipped_fields', '[]'::jsonb)
		from leat.entities e where e.tenant_id = p_tenant and e.id = p_id);
end
$$;

-- What the message that a duplicate repeats has skipped, as a part of a result; '{}' for nothing, or when it was another verb, or when the
-- ledger has forgotten it. Index: primary key of activity.
create or replace function leat.skipped_before(p_stream text, p_duplicate bigint) returns jsonb
language plpgsql stable set search_path = pg_catalog set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
	return coalesce((
		select jsonb_build_object('skipped_fields', first.detail -> 'skipped_fields')
		from leat.activity again
		cross join lateral (
			select a.tenant_id, a.leat_id, a.verb, a.detail from leat.activity a
			where a.stream = again.stream and a.position = (again.detail ->> 'original_position')::bigint offset 0) first
		where again.stream = p_stream and again.position = p_duplicate and first.tenant_id = again.tenant_id and first.leat_id = again.leat_id
			and first.verb = again.verb and first.detail ? 'skipped_fields'), '{}');
end
$$;

-- The result part of an outcome: the entity; of a bulk what the ledger says of it; of a rejected intent nothing.
create or replace function leat.intent_result(p_status text, p_tenant uuid, p_verb text, p_entity uuid, p_detail jsonb) returns jsonb
language plpgsql stable set search_path = pg_catalog
as $$
begin
	return case
		when p_status = 'rejected' then null
		when p_verb = 'bulk' then leat.without_redrive(p_detail)
		else leat.entity_result(p_tenant, p_entity) || coalesce(leat.without_redrive(p_detail), '{}')
	end;
end
$$;

-- One line of a NATS header block. Line breaks in a value would end it early.
create or replace function leat.header(p_name text, p_value text) returns bytea
language sql immutable parallel safe
return convert_to(p_name || ': ' || translate(p_value, E'\r\n', '  ') || E'\r\n', 'UTF8');

-- The dead letter of an intent: original headers and body, and why. That of a redrive names the origin that the redrive had, so that one
-- more writes where the first message would have.
create or replace function leat.bury(p_stream text, p_position bigint, p_tenant uuid, p_noun text, p_verb text, p_subject text, p_code text,
	p_message text, p_headers bytea, p_body bytea) returns void
language plpgsql set search_path = pg_catalog
as $$
declare
	v_again constant boolean := starts_with(p_subject, 'leat.redrive.');
	v_subject constant text := case when v_again then leat.header_value(p_headers, 'Leat-Origin-Subject') end;
	v_origin constant bigint := coalesce(case when v_again then leat.origin_position(p_stream, p_headers) end, p_position);
begin
	insert into leat.outbox (subject, headers, body)
	values (
		coalesce('leat.dead.' || p_tenant || '.' || p_noun || '.' || p_verb, 'leat.dead.unroutable'),
		case when v_again then leat.headers_without(p_headers, 'Leat-Origin-|Leat-Redrive:') else p_headers end
			|| leat.header('Leat-Error-Code', p_code) || leat.header('Leat-Error', p_message)
			|| leat.header('Leat-Origin-Subject', coalesce(v_subject, p_subject)) || leat.header('Leat-Origin-Stream', p_stream)
			|| leat.header('Leat-Origin-Seq', (v_origin & ((1::bigint << 40) - 1))::text)
			|| leat.header('Leat-Origin-Position', v_origin::text),
		p_body);
end
$$;

-- Fills a leat.settled, but for its ord, for an intent that was just settled (status null: applied) or was settled before (known: the
-- ledger's word is repeated). No reply to one that is parked: that comes later. The result is left out of a reply over p_bytes;
-- short_reply is the same without it.
create or replace function leat.entity_reply(p_stream text, p_position bigint, p_status text, p_code text, p_message text, p_tenant uuid, p_verb text,
	p_entity uuid, p_detail jsonb, p_bytes bigint) returns leat.settled
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_said leat.settled := row(null, coalesce(p_status, 'applied'), p_code, p_position, null, null);
	v_status text := v_said.status;
	v_code text := p_code;
	v_message text := p_message;
	v_detail jsonb := p_detail;
	v_result jsonb;
begin
	if v_status = 'known' then
		select a.outcome, a.code, a.detail ->> 'message', a.detail into v_status, v_code, v_message, v_detail
		from leat.activity a where a.stream = p_stream and a.position = p_position;
	end if;
	if v_status is null or v_status not in ('applied', 'duplicate', 'rejected') then
		return v_said;
	end if;
	v_said.short_reply := leat.outcome(v_status, p_position, v_code, v_message, null);
	v_said.reply := v_said.short_reply;
	if v_status = 'rejected' then
		return v_said;
	end if;
	v_said.short_reply := rtrim(v_said.short_reply, '}') || ',"result_omitted":true}';
	if p_bytes > 0 then
		if v_status = 'duplicate' then
			v_detail := coalesce(v_detail, '{}') || leat.skipped_before(p_stream, p_position);
		end if;
		v_result := leat.intent_result(v_status, p_tenant, p_verb, p_entity, v_detail);
	end if;
	if v_result is not null then
		v_said.reply := leat.outcome(v_status, p_position, v_code, v_message, v_result);
	end if;
	if p_bytes <= 0 or octet_length(v_said.reply) > p_bytes then
		v_said.reply := v_said.short_reply;
	end if;
	return v_said;
end
$$;
