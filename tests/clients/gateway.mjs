import { connect, DeliverPolicy } from "nats";

// What a gateway does for one client: events of its tenant, from the one behind the last that the client saw.
const tenant = process.env.TENANT ?? "11111111-1111-4111-8111-111111111111";
const stream = process.env.STREAM ?? "LEAT_EVENTS";
const seen = Number(process.argv[2] ?? 0); // the sequence that the client saw last; 0: none
const limit = Number(process.argv[3] ?? Infinity);
const nc = await connect({
  servers: process.env.LEAT_NATS_URL ?? "nats://127.0.0.1:4222",
  user: process.env.LEAT_NATS_USER, // where the server asks for a login
  pass: process.env.LEAT_NATS_PASSWORD,
});

// Without a durable: the place is the client's, not the gateway's, and any gateway can go on from there.
const consumer = await nc.jetstream().consumers.get(stream, {
  filterSubjects: `leat.event.${tenant}.>`,
  deliver_policy: DeliverPolicy.StartSequence,
  opt_start_seq: seen + 1,
});
let count = 0;
for await (const message of await consumer.consume()) {
  const event = message.json();
  console.log(JSON.stringify({ seq: message.seq, id: event.id, type: event.type, subject: message.subject }));
  if (++count === limit) break;
}
await nc.close();
