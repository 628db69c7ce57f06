-- What is told instead where nats-server does not take the whole: as in leat.outbox.
alter table leat.told_answers add column short_body bytea;
