// The yardstick of the latency figures: a consumer as one writes it by hand. A call, a commit and an acknowledgement a message, several at
// a time over a pool of connections; nothing is checked, nothing is remembered. Ends by a signal.
import { connect } from "nats";
import pg from "pg";

const STREAM = "LEAT_ENTITY";
const DURABLE = "by-hand";

const pool = new pg.Pool({ connectionString: process.env.LEAT_DATABASE_URL, max: 4 });
const nats = await connect({ servers: process.env.LEAT_NATS_URL });
const manager = await nats.jetstreamManager();
await manager.consumers.add(STREAM, { durable_name: DURABLE, ack_policy: "explicit" });
const consumer = await nats.jetstream().consumers.get(STREAM, DURABLE);

async function apply(message) {
  const tenant = message.subject.split(".")[2];
  const { entity_id, content } = message.json();
  await pool.query({
    name: "merge",
    text: "select plain.merge_entity_content($1::uuid, $2::uuid, $3::jsonb)",
    values: [entity_id, tenant, JSON.stringify(content)],
  });
  message.ack();
}

for await (const message of await consumer.consume()) apply(message);
