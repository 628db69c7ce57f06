// An HTTP server that answers GET /?ms=NUMBER after so many milliseconds; it writes its port to standard output.
import http from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const server = http
	.createServer(async (request, response) => {
		const ms = Number(new URL(request.url, "http://here").searchParams.get("ms"));
		if (ms > 0) await delay(ms);
		response.writeHead(200, { "content-type": "application/json" }).end('{"ok":true}');
	})
	.listen(0, "127.0.0.1", () => console.log(server.address().port));
server.keepAliveTimeout = 60_000;
