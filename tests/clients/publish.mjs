import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { connect, headers } from "nats";

const tenant = process.env.TENANT ?? "11111111-1111-4111-8111-111111111111";
const nc = await connect({
  servers: process.env.LEAT_NATS_URL ?? "nats://127.0.0.1:4222",
  user: process.env.LEAT_NATS_USER, // where the server asks for a login
  pass: process.env.LEAT_NATS_PASSWORD,
});
const js = nc.jetstream();

// Done once the stream has the intent. Without an answer it may be stored all the same: it is sent again with the
// same Leat-Id, so that it counts once.
async function publish(verb, body, { id = randomUUID(), replyTo } = {}) {
  const options = { headers: headers(), timeout: 5000 };
  options.headers.set("Leat-Id", id);
  options.headers.set("Leat-Actor", "web-shop");
  if (replyTo) options.headers.set("Leat-Reply-To", replyTo);
  for (let attempt = 1; ; attempt++) {
    try {
      return await js.publish(`leat.intent.${tenant}.service.entity.${verb}`, JSON.stringify(body), options);
    } catch (error) {
      if (attempt === 5) throw error;
      await delay(100 * 2 ** attempt);
    }
  }
}

// The same, and the outcome: once the effect is committed in Postgres.
async function publishAndWait(verb, body) {
  const replyTo = `leat.reply.${tenant}.${randomUUID()}`;
  const replies = nc.subscribe(replyTo, { max: 1, timeout: 30_000 });
  await publish(verb, body, { replyTo });
  for await (const reply of replies) return reply.json();
}

const note = { entity_type: "note", key: "first" };
await publish("upsert", { ...note, content: { text: "hello" } });
await Promise.all([
  publish("merge", { ...note, content: { colour: "green" } }),
  publish("merge", { ...note, content: { likes: 3 } }),
]);
console.log(await publishAndWait("merge", { ...note, content: { read: true } }));
console.log(await publishAndWait("merge", { ...note, contnet: {} }));
await nc.drain();
