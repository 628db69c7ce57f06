import { connect, headers } from "nats";

const tenant = process.env.TENANT ?? "11111111-1111-4111-8111-111111111111";
const nc = await connect({
  servers: process.env.LEAT_NATS_URL ?? "nats://127.0.0.1:4222",
  user: process.env.LEAT_NATS_USER, // where the server asks for a login
  pass: process.env.LEAT_NATS_PASSWORD,
});

// One answer. Nobody there, or no answer in time, is an exception of the client's ("503": no consumer is running).
async function ask(query, body = {}) {
  const options = { timeout: 5000, headers: headers() };
  options.headers.set("Leat-Actor", "web-shop"); // for the role user: the user's id
  const reply = await nc.request(`leat.query.${tenant}.service.${query}`, JSON.stringify(body), options);
  const answer = reply.json();
  if (answer.status !== "ok") throw new Error(`${query}: ${answer.code}: ${answer.message}`);
  return answer.result;
}

// The whole, where an answer comes in pages: lists are appended, objects put together.
async function askAll(query, body = {}) {
  const whole = {};
  for (let after; ; ) {
    const { next, ...page } = await ask(query, { ...body, after });
    join(whole, page);
    if (next === undefined) return whole;
    after = next;
  }
}

function join(whole, page) {
  for (const [name, value] of Object.entries(page)) {
    if (Array.isArray(value)) whole[name] = (whole[name] ?? []).concat(value);
    else if (value !== null && typeof value === "object") join((whole[name] ??= {}), value);
    else whole[name] = value;
  }
}

console.log(await askAll("entity.get", { entity_type: "note", key: "first" }));
console.log(await askAll("workflow.list"));
await ask("entity.get", { entity_type: "note", key: "no such" }).catch((error) => console.log(error.message));
await nc.drain();
