-- What interaction.list reads for a service, or with those that are answered and expired: of one tenant, oldest first.
create index interactions_in_order on leat.interactions (tenant_id, created_at, id);
