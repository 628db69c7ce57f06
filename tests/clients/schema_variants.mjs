// node schema_variants.mjs SCHEMA SAMPLE README: messages for the decoder, a line of JSON each, with the schema's verdict:
// {"name","body","valid"}, or with "reason" where the schema lets through what the decoder has to refuse.
//
// Good messages of every kind, then each of them with a part left out, doubled, replaced by values of every type, or added to.
import { readFileSync } from "node:fs";
import { readSchemas } from "./schema_ajv.mjs";

const [schemaPath, samplePath, readmePath] = process.argv.slice(2);
const validators = readSchemas(schemaPath);
const id = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const of = (type, more = {}) => ({ id: type, type, ...more });

const definition = {
	nodes: [
		of("http", { url: "https://api.example/x", method: "POST", headers: { "X-A": "b" }, body: { a: [{ $ref: "input#/a~0/0" }] }, timeout_ms: 5, max_attempts: 2 }),
		of("split", { items: { $ref: "http#" } }),
		of("worker", { url: "http://worker.example:80/?a#b", body: { $ref: "item#" } }),
		of("collect"),
		of("merge", { entity_type: "t", key: "k", content: { a: { $ref: "collect#" } }, metadata: {} }),
		of("question", { connection_id: "c", expected_user_id: id, payload: null, ttl_s: 1 }),
	],
	edges: [["http", "split"], ["split", "worker"], ["worker", "collect"], ["collect", "merge"]],
};
const fields = { content: { a: 1, b: null }, metadata: { c: {} } };

const good = {
	"entity.upsert": [{ entity_id: id, entity_type: "t" }, { key: "k", entity_type: "a.b-c_9", ...fields }],
	"entity.merge": [{ entity_id: id, ...fields, respect_locks: true }, { entity_type: "t", key: "k" }],
	"entity.bulk": [{ entity_ids: [id, id], ...fields, respect_locks: false }],
	"entity.unset": [{ entity_id: id, content: ["a"], metadata: [] }, { entity_id: id, metadata: ["a", "a"] }],
	"entity.lock": [{ entity_id: id, fields: ["a"] }],
	"entity.unlock": [{ entity_id: id, fields: ["a", "b"] }],
	"entity.delete": [{ entity_id: id }],
	"workflow.save": [
		{ workflow_id: id, action: "new", name: "n", definition, expected_version: 0 },
		{ workflow_id: id, action: "edit", name: "n", definition: { nodes: [of("merge", { entity_id: id, content: {} })] } },
	],
	"workflow.delete": [{ workflow_id: id }],
	"member.set": [{ user_id: id, role: "owner" }],
	"member.remove": [{ user_id: id }],
	"interaction.ask": [{ interaction_id: id, connection_id: "c", expected_user_id: id, payload: null, ttl_s: 1, run_id: id, node_id: "a[0]" }],
	"interaction.answer": [{ interaction_id: id, connection_id: "c", user_id: id, value: [] }],
	"interaction.withdraw": [{ interaction_id: id, connection_id: "c", user_id: id }, { interaction_id: id, connection_id: "c", expected_user_id: id }],
	"interaction.expire": [{ interaction_ids: [id] }],
	"run.start": [{ run_id: id, workflow_id: id, version: 1, agent_id: "a", entity_id: id, input: 1 }],
	"run.resume": [{ run_id: id }, { agent_id: "a" }],
	"run.retry": [{ run_id: id }],
	"run.cancel": [{ run_id: id }],
	"run.node": [
		{ run_id: id, node_id: "a", status: "running", attempt: 1 },
		{ run_id: id, node_id: "a", status: "completed", output: null },
		{ run_id: id, node_id: "a", status: "failed", error: "a\nb" },
	],
	"workflow.resolve": [{ workflow_id: id, action: "new" }, { workflow_id: id, action: "version", version: 1 }],
	"workflow.get": [{ workflow_id: id, version: 1, after: "1.1" }],
	"workflow.list": [{}, { after: id, limit: 1000 }],
	"entity.get": [{ entity_id: id }, { entity_type: "t", key: "k", after: "x" }],
	"interaction.list": [{ all: true, limit: 1 }],
	"run.get": [{ run_id: id, after: "a" }],
	"run.list": [{ workflow_id: id, agent_id: "a", status: "waiting", after: "a", limit: 5 }],
	"run.heartbeat": [{ run_id: id, node_id: "a", attempt: 1 }],
};

// A name is that of a message when something is said of it.
const kinds = [...validators.keys()].filter((name) => validators.has(`${name}.outcome`) || validators.has(`${name}.answer`));
const missing = kinds.filter((name) => good[name] === undefined);
if (missing.length > 0) throw new Error(`there is no good message of ${missing}`);

function tell(name, body, reason) {
	const valid = validators.get(name)(JSON.parse(body));
	console.log(JSON.stringify({ name, body, valid, ...(reason && { reason }) }));
	return valid;
}

// ---- what is published: all of it has to be good ----

for (const [name, bodies] of Object.entries(good))
	for (const body of bodies) if (!tell(name, JSON.stringify(body))) throw new Error(`${name} ${JSON.stringify(body)}: ${JSON.stringify(validators.get(name).errors)}`);
for (const line of readFileSync(samplePath, "utf8").trim().split("\n")) {
	const { intent, body } = JSON.parse(line);
	const text = /"body":(.*)}$/.exec(line)?.[1]; // as it stands there, where a number may have 20 digits
	if (body !== undefined && kinds.includes(intent)) tell(intent, text);
}
const blocks = [...readFileSync(readmePath, "utf8").matchAll(/```json\n(.*?)```/gs)].map(([, text]) => JSON.parse(text));
const definitions = blocks.filter((block) => block.nodes !== undefined);
const events = blocks.filter((block) => block.specversion !== undefined);
if (definitions.length === 0 || events.length === 0) throw new Error("README.md has no example of a definition, or of an event");
for (const example of definitions)
	if (!tell("workflow.save", JSON.stringify({ ...good["workflow.save"][0], definition: example }))) throw new Error("README.md: the definition is not valid");
for (const event of events) if (!validators.get(event.type)(event)) throw new Error(`README.md: ${event.type}: ${JSON.stringify(validators.get(event.type).errors)}`);

// ---- variants ----

const values = [
	null, true, 0, 1, -1, 1.5, 1e6, 2 ** 31, "", "a", "A b", "a\u0001", "a\n", "x".repeat(70), "x".repeat(600), id, id.toUpperCase(), `${id}0`, [], {}, [id], ["a"], [""], [1], { a: 1 }, { "": 1 }, { $ref: "input#" }, { $ref: "input" }, { $ref: "http#/~2" }, { $ref: "input#", a: 1 }, { $ref: 1 }, "http://", "ftp://a/", "HTTPS://a.b", "http://a@b/", "http", "merge", "new", "version", "completed", "failed", { "X y": "z" }, { "X-Y": 1 }, { "X-Y": "a\u0001" }];

const long = [Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, "v"])), Array(1001).fill(id), Array(1001).fill("a")];

// Every change of one part, anywhere in it. Long values not in the depth of definitions.
function* variants(value, depth = 0) {
	yield* values;
	if (depth < 2) yield* long;
	if (Array.isArray(value)) {
		for (let i = 0; i < value.length; i++) {
			yield value.toSpliced(i, 1);
			yield [...value, value[i]];
			for (const variant of variants(value[i], depth + 1)) yield value.with(i, variant);
		}
	} else if (value !== null && typeof value === "object") {
		yield { ...value, unknown: 1 };
		for (const name of Object.keys(value)) {
			const { [name]: _, ...rest } = value;
			yield rest;
			for (const variant of variants(value[name], depth + 1)) yield { ...value, [name]: variant };
		}
	}
}

for (const [name, bodies] of Object.entries(good)) {
	const known = Object.assign({}, ...bodies);
	for (const body of bodies) {
		for (const variant of variants(body)) tell(name, JSON.stringify(variant));
		for (const [field, value] of Object.entries(known)) if (!(field in body)) tell(name, JSON.stringify({ ...body, [field]: value }));
	}
}

// ---- what JSON Schema can't say ----

const merge = (content) => `{"entity_id":"${id}","content":${content}}`;
const save = (nodes, edges = "[]") => `{"workflow_id":"${id}","action":"new","name":"n","definition":{"nodes":${nodes},"edges":${edges}}}`;
const many = (from, count) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, n) => [`f${from + n}`, 1])));
const node = '{"id":"a","type":"collect"}';
const request = (more) => `[{"id":"a","type":"http","url":"http://a/"${more}}]`;
for (const [name, body, reason] of [
	["entity.merge", merge('{"a":1,"a":2}'), "names that stand twice"],
	["entity.merge", merge('{"a":"\\u0000"}'), "U+0000"],
	["entity.merge", merge('{"a":"\\ud800"}'), "half of a surrogate pair"],
	["entity.merge", merge("1e200000".replace(/^/, '{"a":') + "}"), "numbers that Postgres can't hold"],
	["entity.merge", merge('{"a":' + "[".repeat(70) + "]".repeat(70) + "}"), "nesting"],
	["entity.merge", merge(`{"${"é".repeat(200)}":1}`), "bytes, not characters"],
	["entity.upsert", JSON.stringify({ entity_type: "t", key: "é".repeat(400) }), "bytes, not characters"],
	["run.resume", JSON.stringify({ agent_id: "é".repeat(200) }), "bytes, not characters"],
	["run.node", JSON.stringify({ run_id: id, node_id: "a", status: "failed", error: "é".repeat(4000) }), "bytes, not characters"],
	["entity.merge", `{"entity_id":"${id}","content":${many(0, 600)},"metadata":${many(600, 600)}}`, "the sum of fields in two objects"],
	["entity.merge", merge(`{"a":"${"x".repeat(600000)}"}`), "the length of the body"],
	["workflow.resolve", `{"workflow_id":"${id}","action":"version","version":1.0}`, "whole numbers with a point"],
	["workflow.resolve", `{"workflow_id":"${id}","action":"version","version":1e2}`, "whole numbers with an exponent"],
	["workflow.save", save(`[${node}]`), "graphs: a collect without its split"],
	["workflow.save", save(`[${node},${node}]`), "graphs: an id twice"],
	["workflow.save", save(request(""), '[["a","b"]]'), "graphs: an edge to nowhere"],
	["workflow.save", save(request(',"body":{"$ref":"b#"}')), "graphs: a reference to nowhere"],
	["workflow.save", save(request(',"body":"${secret:A}"')), "secrets outside of headers"],
	["workflow.save", save(request(',"headers":{"A":"${secret:}"}')), "malformed secrets"],
	["workflow.save", save(request(',"headers":{"Leat-Run":"x"}')), "headers that Leat sets"],
	["workflow.save", save(request(',"headers":{"A":"x","a":"y"}')), "headers twice"],
	["workflow.save", save('[{"id":"a","type":"http","url":"http://a:99999/"}]'), "ports"],
])
	tell(name, body, reason);
