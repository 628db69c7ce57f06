-- Almost always empty: intents to expire questions that are not out yet, since when (sql/functions/68_interaction_sweep.sql).
create index outbox_expiries on leat.outbox (created_at) where subject like 'leat.intent.%.engine.interaction.expire';
