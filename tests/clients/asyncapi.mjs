// node asyncapi.mjs FILE: what the official parser of AsyncAPI says of the document; 0 when it finds no fault. Prints what is in it.
import { readFileSync } from "node:fs";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const faults = diagnostics.filter(({ code }) => code !== "asyncapi-latest-version");
for (const fault of faults) console.log(DiagnosticSeverity[fault.severity], fault.code, fault.path.join("/"), fault.message);
if (document === undefined || faults.length > 0) process.exit(1);
for (const operation of document.operations().all()) {
	const messages = operation.messages().all().map((message) => message.id());
	const replies = operation.reply()?.messages().all().map((message) => message.id()) ?? [];
	const addresses = operation.channels().all().map((channel) => channel.address());
	console.log(`${operation.action()} ${addresses.join(" ")}: ${messages.join(" ")}${replies.length > 0 ? ` -> ${replies.join(" ")}` : ""}`);
}
