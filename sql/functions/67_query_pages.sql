-- Answers to queries as JSON text, each at most as long as the server's limit. What does not fit into one is cut into pages: the answer has
-- `next`, which the next request sends as `after`. Pages are cut by rows, by fields of an entity, by nodes and edges of a definition; what
-- no page could hold is named instead (`omitted_fields`, `omitted_nodes`, `payload_omitted`).
--
-- Texts and no jsonb are put together, since it is the text's length that counts. Pure, but for the formats of times.

-- RFC 3339, in UTC.
create or replace function leat.time_text(p_at timestamptz) returns text
language sql stable parallel safe
return to_char(p_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

create or replace function leat.refused(p_code text, p_message text) returns text
language sql immutable parallel safe
return '{"status":"rejected","code":' || to_json(p_code) || ',"message":' || to_json(p_message) || '}';

-- `"name":"value"`, with a comma before it; null becomes null.
create or replace function leat.member_text(p_name text, p_value text) returns text
language sql immutable parallel safe
return ',"' || p_name || '":' || coalesce(to_json(p_value)::text, 'null');

-- Which pieces go on a page of p_room bytes: the first ones, as many as there is room for. True: whole; false: in short, which those are
-- that no page could hold. Sizes are in bytes, with what separates them.
create or replace function leat.fill_page(p_whole integer[], p_short integer[], p_room bigint) returns boolean[]
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
declare
	v_taken boolean[] := '{}';
	v_left bigint := p_room;
	v_fits boolean;
begin
	for i in 1 .. coalesce(cardinality(p_whole), 0) loop
		v_fits := p_whole[i] <= p_room;
		v_left := v_left - case when v_fits then p_whole[i] else p_short[i] end;
		exit when v_left < 0;
		v_taken := v_taken || v_fits;
	end loop;
	return v_taken;
end
$$;

-- ---- lists ----

-- Rows in order, each as text, in short, and with the cursor that stands for "behind this one"; at most p_limit, one more shows that there
-- are more.
create or replace function leat.list_answer(p_name text, p_whole text[], p_short text[], p_cursors text[], p_limit integer, p_bytes bigint)
returns text
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_frame constant integer := 200; -- of the answer without its rows
	v_count constant integer := coalesce(cardinality(p_whole), 0);
	v_taken boolean[];
	v_rows text;
begin
	select leat.fill_page(array_agg(octet_length(r.whole) + 1 order by r.n), array_agg(octet_length(r.short) + 1 order by r.n), p_bytes - v_frame)
	into v_taken
	from unnest(p_whole, p_short) with ordinality r (whole, short, n) where r.n <= p_limit;
	if v_count > 0 and v_taken = '{}' then
		return leat.refused('too_large', format('not one of them fits into an answer of %s bytes; raise the server''s max_payload', p_bytes));
	end if;
	select coalesce(string_agg(case when r.taken then r.whole else r.short end, ',' order by r.n), '') into v_rows
	from unnest(p_whole, p_short, v_taken) with ordinality r (whole, short, taken, n) where r.taken is not null;
	return '{"status":"ok","result":{"' || p_name || '":[' || v_rows || ']'
		|| case when cardinality(v_taken) < v_count then leat.member_text('next', p_cursors[cardinality(v_taken)]) else '' end || '}}';
end
$$;

create or replace function leat.workflows_answer(p_rows leat.workflows[], p_limit integer, p_bytes bigint) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_rows text[];
	v_cursors text[];
begin
	select array_agg('{"workflow_id":"' || w.id || '"' || leat.member_text('name', w.name) || ',"version":' || w.version
			|| leat.member_text('updated_at', leat.time_text(w.updated_at)) || '}' order by w.ordinality),
		array_agg(w.id::text order by w.ordinality)
	into v_rows, v_cursors
	from unnest(p_rows) with ordinality w;
	return leat.list_answer('workflows', v_rows, v_rows, v_cursors, p_limit, p_bytes);
end
$$;

create or replace function leat.interactions_answer(p_rows leat.interactions[], p_limit integer, p_bytes bigint) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_whole text[];
	v_short text[];
	v_cursors text[];
begin
	select array_agg(r.head || ',"payload":' || r.payload || ',"value":' || coalesce(r.value::text, 'null') || '}' order by r.n),
		array_agg(r.head || ',"payload_omitted":true}' order by r.n), array_agg(r.cursor order by r.n)
	into v_whole, v_short, v_cursors
	from (
		select i.ordinality as n, i.payload, i.value, (extract(epoch from i.created_at) * 1000000)::bigint || '.' || i.id as cursor,
			'{"interaction_id":"' || i.id || '"' || leat.member_text('connection_id', i.connection_id)
			|| leat.member_text('expected_user_id', i.expected_user_id::text) || leat.member_text('run_id', i.run_id::text)
			|| leat.member_text('node_id', i.node_id) || leat.member_text('status', i.status)
			|| leat.member_text('created_at', leat.time_text(i.created_at)) || leat.member_text('asked_at', leat.time_text(i.asked_at))
			|| leat.member_text('expires_at', leat.time_text(i.expires_at))
			|| leat.member_text('claimed_at', leat.time_text(i.claimed_at)) as head
		from unnest(p_rows) with ordinality i) r;
	return leat.list_answer('interactions', v_whole, v_short, v_cursors, p_limit, p_bytes);
end
$$;

-- ---- one entity, one definition ----

-- Fields go in the order of (part, SHA-256 of the name): a cursor is short and of one form whatever the name, and holds its place when fields
-- come and go between two pages.
create or replace function leat.entity_answer(p_entity leat.entities, p_after text, p_bytes bigint) returns text
language plpgsql stable set search_path = pg_catalog
as $$
declare
	v_head constant text := '{"status":"ok","result":{"entity_id":"' || p_entity.id || '"' || leat.member_text('entity_type', p_entity.entity_type)
		|| leat.member_text('key', p_entity.key) || leat.member_text('created_at', leat.time_text(p_entity.created_at))
		|| leat.member_text('updated_at', leat.time_text(p_entity.updated_at));
	v_frame constant integer := 250; -- of the other members, empty
	v_answer text;
	v_parts integer[];
	v_whole text[];
	v_short text[];
	v_cursors text[];
	v_taken boolean[];
begin
	if p_after is null then
		v_answer := v_head || ',"content":' || p_entity.content || ',"metadata":' || p_entity.metadata
			|| ',"locked_fields":' || to_json(p_entity.locked_fields) || '}}';
		if octet_length(v_answer) <= p_bytes then
			return v_answer;
		end if;
	end if;

	select array_agg(f.part order by f.cursor), array_agg(f.whole order by f.cursor), array_agg(f.short order by f.cursor),
		array_agg(f.cursor order by f.cursor)
	into v_parts, v_whole, v_short, v_cursors
	from (
		select named.part, (named.part || '.' || encode(sha256(convert_to(named.name, 'UTF8')), 'hex')) collate "C" as cursor,
			to_json(named.name) || coalesce(':' || named.value, '') as whole, to_json(named.name)::text as short
		from (
			select 1 as part, c.key as name, c.value::text as value from jsonb_each(p_entity.content) c
			union all select 2, m.key, m.value::text from jsonb_each(p_entity.metadata) m
			union all select 3, l, null from unnest(p_entity.locked_fields) l) named) f
	where p_after is null or f.cursor > p_after;
	select leat.fill_page(array_agg(octet_length(f.whole) + 1 order by f.n), array_agg(octet_length(f.short) + 1 order by f.n),
		p_bytes - octet_length(v_head) - v_frame)
	into v_taken
	from unnest(v_whole, v_short) with ordinality f (whole, short, n);
	if v_whole is not null and v_taken = '{}' then
		return leat.refused('too_large', format('not one field fits into an answer of %s bytes; raise the server''s max_payload', p_bytes));
	end if;

	select v_head || ',"content":{' || coalesce(string_agg(f.whole, ',') filter (where f.part = 1 and f.taken), '')
		|| '},"metadata":{' || coalesce(string_agg(f.whole, ',') filter (where f.part = 2 and f.taken), '')
		|| '},"locked_fields":[' || coalesce(string_agg(f.whole, ',') filter (where f.part = 3 and f.taken), '') || ']'
		|| case when false = any (v_taken) then
			',"omitted_fields":{"content":[' || coalesce(string_agg(f.short, ',') filter (where f.part = 1 and not f.taken), '')
			|| '],"metadata":[' || coalesce(string_agg(f.short, ',') filter (where f.part = 2 and not f.taken), '') || ']}'
			else '' end
	into v_answer
	from unnest(v_parts, v_whole, v_short, v_taken) f (part, whole, short, taken);
	return v_answer || case when cardinality(v_taken) < cardinality(v_whole)
		then leat.member_text('next', v_cursors[cardinality(v_taken)]) else '' end || '}}';
end
$$;

-- p_head: the answer up to the definition. p_after: how many nodes and edges were on the pages before; versions never change.
create or replace function leat.definition_answer(p_head text, p_version integer, p_definition jsonb, p_after integer, p_bytes bigint) returns text
language plpgsql immutable set search_path = pg_catalog
as $$
declare
	v_frame constant integer := 150;
	v_answer constant text := p_head || ',"definition":' || p_definition || '}}';
	v_nodes boolean[];
	v_whole text[];
	v_short text[];
	v_taken boolean[];
	v_page text;
begin
	if p_after = 0 and octet_length(v_answer) <= p_bytes then
		return v_answer;
	end if;

	select array_agg(x.is_node order by x.n), array_agg(x.item::text order by x.n),
		array_agg(case when x.is_node then (x.item -> 'id')::text else x.item::text end order by x.n)
	into v_nodes, v_whole, v_short
	from (
		select row_number() over () as n, items.*
		from (
			select true as is_node, node as item from jsonb_array_elements(p_definition -> 'nodes') node
			union all select false, edge from jsonb_array_elements(p_definition -> 'edges') edge) items) x
	where x.n > p_after;
	select leat.fill_page(array_agg(octet_length(x.whole) + 1 order by x.n), array_agg(octet_length(x.short) + 1 order by x.n),
		p_bytes - octet_length(p_head) - v_frame)
	into v_taken
	from unnest(v_whole, v_short) with ordinality x (whole, short, n);
	if v_whole is not null and v_taken = '{}' then
		return leat.refused('too_large', format('not one node fits into an answer of %s bytes; raise the server''s max_payload', p_bytes));
	end if;

	select p_head || ',"definition":{"nodes":[' || coalesce(string_agg(x.whole, ',' order by x.n) filter (where x.is_node and x.taken), '')
		|| '],"edges":[' || coalesce(string_agg(x.whole, ',' order by x.n) filter (where not x.is_node and x.taken), '') || ']}'
		|| case when false = any (v_taken) then
			',"omitted_nodes":[' || coalesce(string_agg(x.short, ',' order by x.n) filter (where not x.taken), '') || ']' else '' end
	into v_page
	from unnest(v_nodes, v_whole, v_short, v_taken) with ordinality x (is_node, whole, short, taken, n);
	return v_page || case when cardinality(v_taken) < cardinality(v_whole)
		then leat.member_text('next', p_version || '.' || p_after + cardinality(v_taken)) else '' end || '}}';
end
$$;
