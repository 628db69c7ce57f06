-- Pieces of the merge, each a pure function. `positions` maps a field to the position that last wrote or removed it.
-- PL/pgSQL although plain SQL would do: its plans are kept for the session, those of SQL functions are made again in every transaction.

-- What of p_delta (fields to values, or fields to positions) is newer than what p_positions knows. p_written: the position of each field of
-- p_delta; a field that does not stand in it is left out.
create or replace function leat.newer_fields(p_positions jsonb, p_delta jsonb, p_written jsonb) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return (
		select coalesce(jsonb_object_agg(field, value), '{}')
		from jsonb_each(p_delta) delta (field, value)
		where coalesce((p_positions ->> field)::bigint, 0) < (p_written ->> field)::bigint);
end
$$;

-- p_fields without those last written before p_from.
create or replace function leat.fields_since(p_fields jsonb, p_positions jsonb, p_from bigint) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return (
		select coalesce(jsonb_object_agg(field, value), '{}')
		from jsonb_each(p_fields) fields (field, value)
		where (p_positions ->> field)::bigint >= p_from);
end
$$;

-- Every field of p_fields at p_position.
create or replace function leat.fields_at(p_fields jsonb, p_position bigint) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	if p_fields = '{}' then -- as most metadata are
		return p_fields;
	end if;
	return (select jsonb_object_agg(field, p_position) from jsonb_object_keys(p_fields) field);
end
$$;

-- Every name of the array p_names at p_position; null is an empty one.
create or replace function leat.names_at(p_names jsonb, p_position bigint) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return (select coalesce(jsonb_object_agg(name, p_position), '{}') from jsonb_array_elements_text(coalesce(p_names, '[]')) name);
end
$$;

-- p_fields without the fields that p_without has.
create or replace function leat.fields_without(p_fields jsonb, p_without jsonb) returns jsonb
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return p_fields - array(select jsonb_object_keys(p_without));
end
$$;

-- The upsert positions that still matter: the lowest and any above the floor, in order, each once.
create or replace function leat.upserts_that_matter(p_positions bigint[], p_floor bigint) returns bigint[]
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return (
		select coalesce(array_agg(position order by position), '{}')
		from (select distinct position, min(position) over () as lowest from unnest(p_positions) position) every
		where position = lowest or position > p_floor);
end
$$;

-- A JSON array of positions as an array; null is an empty one.
create or replace function leat.positions_of(p_positions jsonb) returns bigint[]
language plpgsql immutable parallel safe set search_path = pg_catalog
as $$
begin
	return array(select position::bigint from jsonb_array_elements(coalesce(p_positions, '[]')) position);
end
$$;

-- jsonb objects merged in the order in which they come, right side wins; null when there is none. (Without an initial value a single one,
-- which is the usual, is not even copied.)
create or replace aggregate leat.merged(jsonb) (sfunc = jsonb_concat, stype = jsonb);
