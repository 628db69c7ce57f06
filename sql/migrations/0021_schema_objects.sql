-- Functions, triggers and policies as `leat migrate` left them, so that what was dropped, switched off or replaced since is noticed
-- (lib/schema/objects.c). server: the major version of Postgres whose words the checksum is of.
create table leat.schema_objects (
	name text collate "C" primary key, -- 'function leat.milliseconds_since(timestamp with time zone)', 'trigger touch on leat.entities'
	checksum text not null,
	server integer not null
);
