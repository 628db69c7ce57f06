// node schema_tour.mjs SCHEMA: publishes some of everything, and validates all that comes out, outcomes, answers, events and dead letters.
// Ends with 1, and says what, when something is not valid or when something never came.
import { randomUUID } from "node:crypto";
import { connect, headers } from "nats";
import { readSchemas } from "./schema_ajv.mjs";

const validators = readSchemas(process.argv[2], { closed: true });
const tenant = process.env.TENANT;
const nc = await connect({ servers: process.env.LEAT_NATS_URL });
const js = nc.jetstream();
const seen = new Set();
const faults = [];

function check(name, value) {
	const validate = validators.get(name);
	if (validate === undefined) faults.push(`there is no schema ${name}: ${JSON.stringify(value)}`);
	else if (!validate(value)) faults.push(`${name}: ${JSON.stringify(value)}: ${JSON.stringify(validate.errors)}`);
	return value;
}

const headersOf = (message) => Object.fromEntries([...(message.headers ?? [])].map(([name, values]) => [name, values[0]]));

// ---- what comes of itself ----

const waiting = [];
let noted = () => {}; // something came that was not there before

function note(what) {
	seen.add(what);
	noted();
}

const events = nc.subscribe(`leat.event.${tenant}.>`, {
	callback: (_, message) => {
		const event = check(message.json().type, message.json());
		check("event.headers", headersOf(message));
		note(event.type);
		for (const { type, subject, wanted, tell } of waiting)
			if (event.type === type && event.subject === subject && wanted(event.data)) tell(event);
	},
});
const dead = nc.subscribe("leat.dead.>", {
	callback: (_, message) => {
		check("dead.headers", headersOf(message));
		note(message.subject === "leat.dead.unroutable" ? "dead.unroutable" : "dead");
	},
});
await nc.flush();

const eventOf = (type, subject, wanted = () => true) => new Promise((tell) => waiting.push({ type, subject, wanted, tell }));

// ---- asking ----

async function publish(intent, body, { role = "service", id = randomUUID(), text = JSON.stringify(body) } = {}) {
	const replyTo = `leat.reply.${tenant}.${randomUUID()}`;
	const replies = nc.subscribe(replyTo, { max: 1, timeout: 30_000 });
	const options = { headers: headers() };
	for (const [name, value] of Object.entries({ "Leat-Id": id, "Leat-Actor": "tour", "Leat-Reply-To": replyTo, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }))
		options.headers.set(name, value);
	check("intent.headers", Object.fromEntries([...options.headers].map(([name, values]) => [name, values[0]])));
	await js.publish(`leat.intent.${tenant}.${role}.${intent}`, text, options);
	for await (const reply of replies) {
		const outcome = check(`${intent}.outcome`, reply.json());
		note(`${intent} ${outcome.status}`);
		return outcome;
	}
}

async function apply(intent, body, options) {
	const outcome = await publish(intent, body, options);
	if (outcome.status !== "applied") faults.push(`${intent}: ${JSON.stringify(outcome)}`);
	return outcome.result;
}

async function ask(query, body) {
	const answer = check(`${query}.answer`, (await nc.request(`leat.query.${tenant}.service.${query}`, JSON.stringify(body), { timeout: 10_000 })).json());
	note(`${query} ${answer.status}`);
	return answer;
}

// ---- entities ----

const first = { entity_type: "note", key: "first" };
const id = randomUUID();
const { entity_id: keyed } = await apply("entity.upsert", { ...first, content: { text: "hello", n: 1 }, metadata: { by: "tour" } });
await apply("entity.upsert", { entity_id: id, entity_type: "note" }, { id: "twice" });
await publish("entity.upsert", { entity_id: id, entity_type: "note" }, { id: "twice" });
await apply("entity.merge", { ...first, content: { text: null } });
await apply("entity.lock", { entity_id: keyed, fields: ["text"] });
const { skipped_fields: skipped } = await apply("entity.merge", { ...first, content: { text: "kept out" }, respect_locks: true }, { id: "locked" });
if (skipped[0] !== "text") faults.push("the lock did not hold");
await publish("entity.merge", { ...first, content: { text: "kept out" }, respect_locks: true }, { id: "locked" });
await apply("entity.bulk", { entity_ids: [keyed, id, randomUUID()], content: { text: "all" }, respect_locks: true }, { id: "bulk" });
await publish("entity.bulk", { entity_ids: [keyed, id, randomUUID()], content: { text: "all" }, respect_locks: true }, { id: "bulk" });
await ask("entity.get", first);
await apply("entity.unlock", { entity_id: keyed, fields: ["text"] });
await apply("entity.unset", { entity_id: keyed, content: ["text"] });
await apply("entity.delete", { entity_id: id });
await ask("entity.get", { entity_id: id });
await apply("entity.upsert", { entity_id: randomUUID(), entity_type: "note", content: { long: "x".repeat(300_000) } });
const long = randomUUID();
for (const field of ["a", "b", "c", "d"]) await apply("entity.upsert", { entity_id: long, entity_type: "note", content: { [field]: field.repeat(400_000) } });
const page = await ask("entity.get", { entity_id: long });
if (page.result?.next === undefined) faults.push("an entity of 1.6 MB came in one page");
await publish("entity.merge", { entity_id: randomUUID(), content: { a: 1 } });
await publish("entity.merge", { ...first, contnet: {} });
await publish("entity.merge", null, { text: "{" });
await js.publish("leat.intent.nobody.service.entity.merge", "{}");

// ---- workflows, members ----

const workflow = randomUUID();
const user = randomUUID();
const definition = {
	nodes: [
		{ id: "call", type: "http", url: `${process.env.BASE}/items/1?n=2` },
		{ id: "each", type: "split", items: { $ref: "call#/items" } },
		{ id: "one", type: "http", url: `${process.env.BASE}/ok/2` },
		{ id: "all", type: "collect" },
		{ id: "save", type: "merge", ...first, content: { all: { $ref: "all#" } } },
		{ id: "ask", type: "question", connection_id: "c", expected_user_id: user, payload: { text: "?" } },
	],
	edges: [["call", "each"], ["each", "one"], ["one", "all"], ["all", "save"], ["save", "ask"]],
};
await ask("workflow.resolve", { workflow_id: workflow, action: "new" });
await apply("workflow.save", { workflow_id: workflow, action: "new", name: "tour", definition }, { id: "save" });
await publish("workflow.save", { workflow_id: workflow, action: "new", name: "tour", definition }, { id: "save" });
await apply("workflow.save", { workflow_id: workflow, action: "edit", name: "tour 2", definition });
await publish("workflow.save", { workflow_id: workflow, action: "edit", name: "tour", definition, expected_version: 7 });
await ask("workflow.resolve", { workflow_id: workflow, action: "edit" });
await ask("workflow.get", { workflow_id: workflow });
await ask("workflow.get", { workflow_id: workflow, version: 1 });
await ask("workflow.get", { workflow_id: randomUUID() });
await ask("workflow.list", {});
await apply("member.set", { user_id: user, role: "owner" });
await apply("member.set", { user_id: randomUUID(), role: "viewer" });
const gone = randomUUID();
await apply("member.set", { user_id: gone, role: "editor" });
await apply("member.remove", { user_id: gone });

// ---- questions ----

const scope = (interaction) => ({ interaction_id: interaction, connection_id: "c" });
const [answered, withdrawn, expired] = [randomUUID(), randomUUID(), randomUUID()];
const question = { expected_user_id: user, payload: { text: "Shall we?" } };
const expiry = eventOf("leat.interaction.expired", expired);
await apply("interaction.ask", { ...scope(expired), ...question, ttl_s: 1 });
await apply("interaction.ask", { ...scope(answered), ...question });
await apply("interaction.answer", { ...scope(answered), user_id: user, value: "yes" }, { id: "answer" });
await publish("interaction.answer", { ...scope(answered), user_id: user, value: "yes" }, { id: "answer" });
await publish("interaction.answer", { ...scope(answered), user_id: user, value: "no" });
await apply("interaction.ask", { ...scope(withdrawn), ...question });
await ask("interaction.list", { all: true });
await apply("interaction.withdraw", { ...scope(withdrawn), user_id: user });
await apply("interaction.expire", { interaction_ids: [answered] }, { role: "engine" });
await expiry;
await ask("interaction.list", { all: true });

// ---- runs ----

const run = randomUUID();
const waits = eventOf("leat.run.waiting", run);
const over = eventOf("leat.run.completed", run);
await apply("run.start", { run_id: run, workflow_id: workflow, agent_id: "ann", input: { a: 1 } });
await waits;
await ask("run.get", { run_id: run });
await apply("run.resume", { run_id: run });
await apply("run.resume", { agent_id: "ann" });
await apply("run.node", { run_id: run, node_id: "ask", status: "completed", output: "yes" }, { role: "engine", id: "node" });
await publish("run.node", { run_id: run, node_id: "ask", status: "completed", output: "yes" }, { role: "engine", id: "node" });
await over;
await apply("run.node", { run_id: run, node_id: "ask", status: "failed", error: "late" }, { role: "engine" });
await apply("run.cancel", { run_id: run });
await publish("run.node", { run_id: run, node_id: "ask", status: "failed", output: 1 }, { role: "engine" });

const other = randomUUID();
const nodes = [
	{ id: "work", type: "worker", url: `${process.env.BASE}/accept/3` },
	{ id: "fail", type: "http", url: `${process.env.BASE}/404/4` },
	{ id: "never", type: "http", url: `${process.env.BASE}/ok/5` },
];
await apply("workflow.save", { workflow_id: other, action: "new", name: "other", definition: { nodes, edges: [["fail", "never"]] } });
const second = randomUUID();
const called = eventOf("leat.run.node", second, ({ nodes }) => nodes.work === "running");
const failed = eventOf("leat.run.node", second, ({ nodes }) => nodes.fail === "failed");
await apply("run.start", { run_id: second, workflow_id: other });
await Promise.all([called, failed]);
await ask("run.heartbeat", { run_id: second, node_id: "work", attempt: 1 });
await ask("run.heartbeat", { run_id: second, node_id: "work", attempt: 9 });
const failure = eventOf("leat.run.failed", second);
await apply("run.node", { run_id: second, node_id: "work", status: "completed", output: null });
await failure;
const resumed = eventOf("leat.run.resumed", second);
await apply("run.retry", { run_id: second });
await resumed;
const third = randomUUID();
await apply("run.start", { run_id: third, workflow_id: workflow });
const cancelled = eventOf("leat.run.cancelled", third);
await apply("run.cancel", { run_id: third });
await cancelled;
await ask("run.list", {});
const deletion = eventOf("leat.workflow.deleted", workflow);
await apply("workflow.delete", { workflow_id: workflow });
await deletion;

// ---- did all of it come? ----

const wanted = [...validators.keys()].flatMap((name) => {
	const [, verb, said] = /^(\w+\.\w+)\.(outcome|answer)$/.exec(name) ?? [];
	if (verb !== undefined) return [`${verb} ${said === "outcome" ? "applied" : "ok"}`];
	return name.startsWith("leat.") ? [name] : [];
});
wanted.push("dead", "dead.unroutable", "entity.merge duplicate", "entity.bulk duplicate", "workflow.save duplicate", "run.node duplicate", "entity.merge rejected", "workflow.save rejected", "run.node rejected", "entity.get rejected", "run.heartbeat rejected");
const missing = () => wanted.filter((name) => !seen.has(name));
// What is published behind an outcome may come after it.
await new Promise((complete) => {
	noted = () => missing().length === 0 && complete();
	noted();
	setTimeout(complete, 20_000);
});
for (const name of missing()) faults.push(`there was no ${name}`);
events.unsubscribe();
dead.unsubscribe();
await nc.drain();
for (const fault of faults) console.log(fault.slice(0, 2000));
process.exit(faults.length > 0 ? 1 : 0);
