// An endpoint for tests: /v1/embeddings as OpenAI has it, and whatever a misbehaving one does. It writes its port to standard output.
//
// PUT /plan ["500", "ok", …]   what the next calls meet, in order; then "ok". {"forever": "500"} is for all calls, until the next plan.
// PUT /release                 ends what "hold" holds
// GET /calls                   the calls so far: [{"inputs":[…],"model","authorization","at","did"}]
// GET /connections             how many connections there were before this one, without those that asked the same
// GET /do/NAME                 meets NAME;  /port: the caller's port;  anything else: what arrived, as JSON
// A vector is [n, length of the text], n of the first "n": in it. A text with "poison" in it is refused with 400, one with "crash" with 500.
import http from "node:http";

const calls = [];
let plan = [];
let forever = "ok";
let held = [];
let connections = 0;

const vectorOf = (text) => [Number(/"n": (-?[\d.]+)/.exec(text)?.[1] ?? -1), text.length];
const itemsOf = (inputs) => inputs.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) }));

function send(response, status, body, headers = {}) {
	const text = typeof body === "string" ? body : JSON.stringify(body);
	response.writeHead(status, { "content-type": "application/json", ...headers });
	response.end(text);
}

const inTenSeconds = () => new Date(Date.now() + 10_000).toUTCString();

// What a call may meet.
const behaviours = {
	ok: (response, inputs) => send(response, 200, { object: "list", data: itemsOf(inputs), model: "m", usage: { total_tokens: 1 } }),
	shuffled: (response, inputs) => send(response, 200, { data: itemsOf(inputs).reverse() }),
	hold: (response, inputs) => held.push(() => behaviours.ok(response, inputs)),
	slow: () => {}, // never answers
	401: (response, inputs, request) => send(response, 401, { error: { message: `not good: ${request.headers.authorization}` } }),
	404: (response) => send(response, 404, { error: { message: "no such model" } }),
	429: (response) => send(response, 429, {}, { "retry-after": "2" }),
	"429-date": (response) => send(response, 429, {}, { "retry-after": inTenSeconds() }),
	500: (response) => send(response, 500, "oops"),
	503: (response) => send(response, 503, {}, { "retry-after": "1" }),
	redirect: (response) => send(response, 307, "", { location: "/v1/elsewhere" }),
	garbage: (response) => send(response, 200, "<html>not JSON</html>"),
	empty: (response) => send(response, 200, ""),
	few: (response, inputs) => send(response, 200, { data: itemsOf(inputs).slice(1) }),
	many: (response, inputs) => send(response, 200, { data: [...itemsOf(inputs), ...itemsOf(inputs)] }),
	nan: (response, inputs) => send(response, 200, JSON.stringify({ data: itemsOf(inputs) }).replace(/\[-?\d/, "[1e39,0")),
	huge: (response) => {
		const chunk = Buffer.alloc(1 << 20, "[");
		response.writeHead(200);
		const more = () => response.destroyed || (response.write(chunk), setImmediate(more));
		more();
	},
	closes: (response, inputs, request) => request.socket.destroy(),
	"closes-early": (response) => {
		response.writeHead(200, { "content-length": "1000" });
		response.write('{"data":[', () => response.destroy());
	},
};

function answerInputs(request, response, body) {
	const { input: inputs, model } = JSON.parse(body);
	let did = plan.shift() ?? forever;
	if (did === "ok" && inputs.some((text) => text.includes("poison"))) did = "400";
	else if (did === "ok" && inputs.some((text) => text.includes("crash"))) did = "500";
	calls.push({ inputs, model, authorization: request.headers.authorization, at: Date.now(), did });
	if (did === "400") send(response, 400, { error: { message: "this text is poison" } });
	else behaviours[did](response, inputs, request);
}

const echo = (request, response, body) =>
	send(response, 200, { method: request.method, url: request.url, headers: request.headers, body });

const server = http.createServer((request, response) => {
	const chunks = [];
	request.on("data", (chunk) => chunks.push(chunk));
	request.on("end", () => {
		const body = Buffer.concat(chunks).toString();
		if (request.url === "/v1/embeddings") answerInputs(request, response, body);
		else if (request.url === "/calls") send(response, 200, calls);
		else if (request.url === "/release") {
			for (const go of held.splice(0)) go();
			send(response, 200, {});
		} else if (request.url === "/plan") {
			const wanted = JSON.parse(body);
			plan = Array.isArray(wanted) ? wanted : [];
			forever = wanted.forever ?? "ok";
			send(response, 200, {});
		} else if (request.url === "/connections") send(response, 200, String(--connections));
		else if (request.url === "/port") send(response, 200, String(request.socket.remotePort));
		else if (request.url.startsWith("/do/")) behaviours[request.url.slice(4)](response, [], request);
		else echo(request, response, body);
	});
});
server.on("connection", () => connections++);
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(server.address().port));
