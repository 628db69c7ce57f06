// What runs call, for tests: it does what the path says, and remembers who called when. It writes its port to standard output.
//
// /NAME/WHATEVER      NAME is one of `behaviours`; `?ms=200` answers that late. The answer says {"path", "key", "times"}.
// GET /calls          the calls so far: [{"path","key","attempt","traceparent","body","began","ended","inFlight"}]; began and ended are in ms,
//                     ended null while it is under way, "gone" when the caller hung up; inFlight: how many were under way, this one included
// PUT /release        ends what "hold" holds, and what will come for it; "busy" is not any more
import http from "node:http";

const calls = [];
let held = [];
let released = false;
let inFlight = 0;

function send(response, status, body, headers = {}) {
	response.writeHead(status, { "content-type": "application/json", ...headers });
	response.end(typeof body === "string" ? body : JSON.stringify(body));
}

// How often it was called with this key, this time included.
const times = (call) => calls.filter((other) => other.key === call.key && other.path === call.path).length;

const behaviours = {
	ok: (response, call) => send(response, 200, { path: call.path, key: call.key, times: times(call) }),
	accept: (response) => send(response, 202, ""),
	items: (response, call) => send(response, 200, { items: Array.from({ length: Number(call.query.get("n")) }, (_, n) => ({ n })) }),
	echo: (response, call) => send(response, 200, { body: call.body, key: call.key, header: call.header }),
	hold: (response, call) => (released ? behaviours.ok(response, call) : held.push(() => behaviours.ok(response, call))),
	busy: (response, call) => (released ? behaviours.ok(response, call) : send(response, 429, "later", { "retry-after": "2" })),
	flaky: (response, call) => (times(call) <= 2 ? send(response, 503, "not now") : behaviours.ok(response, call)),
	hang: () => {},
	500: (response) => send(response, 500, "oops"),
	404: (response) => send(response, 404, { error: "no such thing" }),
	redirect: (response) => send(response, 302, "", { location: "/ok/elsewhere" }),
	garbage: (response) => send(response, 200, "<html>not JSON</html>"),
	closes: (response) => response.socket.destroy(),
	big: (response) => send(response, 200, JSON.stringify("x".repeat(10 << 20))),
};

function begin(request, response, url, body) {
	const { "idempotency-key": key, "leat-attempt": attempt, traceparent, "x-test": header } = request.headers;
	const call = { path: url.pathname, query: url.searchParams, key, attempt, traceparent, header, body, began: Date.now(), ended: null };
	call.inFlight = ++inFlight;
	calls.push(call);
	response.on("close", () => {
		inFlight--;
		call.ended = response.writableFinished ? Date.now() : "gone";
	});
	const behave = behaviours[url.pathname.split("/")[1]] ?? behaviours[404];
	setTimeout(() => behave(response, call), Number(url.searchParams.get("ms") ?? 0));
}

const server = http.createServer((request, response) => {
	const chunks = [];
	request.on("data", (chunk) => chunks.push(chunk));
	request.on("end", () => {
		const url = new URL(request.url, "http://localhost");
		if (url.pathname === "/calls") send(response, 200, calls);
		else if (url.pathname === "/release") {
			released = true;
			for (const go of held.splice(0)) go();
			send(response, 200, {});
		} else begin(request, response, url, Buffer.concat(chunks).toString());
	});
});
server.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(server.address().port));
