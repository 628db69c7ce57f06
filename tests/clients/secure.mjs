// What runs call over TLS, for tests. It writes a port for questions to standard output; the certificate is that of CERT and KEY.
//
// https, any path     answers {"path"}; /close/… ends the connection with it
// GET /counts         by plain HTTP: {"port" of https, "calls", "connections" that were made, "resumed" of them, "refused" by the caller}
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

const counts = { port: 0, calls: 0, connections: 0, resumed: 0, refused: 0 };

function send(response, body, headers = {}) {
	response.writeHead(200, { "content-type": "application/json", ...headers });
	response.end(JSON.stringify(body));
}

const secure = https.createServer({ cert: readFileSync(process.env.CERT), key: readFileSync(process.env.KEY) }, (request, response) => {
	counts.calls++;
	request.resume();
	send(response, { path: request.url }, request.url.startsWith("/close/") ? { connection: "close" } : {});
});
secure.keepAliveTimeout = 0; // the caller decides
secure.on("secureConnection", (socket) => {
	counts.connections++;
	if (socket.isSessionReused()) counts.resumed++;
});
// Where the caller speaks TLS 1.3 it may refuse after the server takes the connection for made: then the socket fails.
secure.on("tlsClientError", () => counts.refused++);
secure.on("secureConnection", (socket) => socket.on("error", () => counts.refused++));

const plain = http.createServer((request, response) => send(response, counts));
secure.listen(0, "127.0.0.1", () => {
	counts.port = secure.address().port;
	plain.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => console.log(plain.address().port));
});
