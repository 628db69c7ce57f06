// What `leat schema` printed, compiled: validators by name. `closed`: what a schema does not name is refused, though readers should allow it.
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import formats from "ajv-formats";

function close(schema) {
	if (schema === null || typeof schema !== "object") return;
	if (schema.type === "object" && schema.properties !== undefined) schema.additionalProperties ??= false;
	Object.values(schema).forEach(close);
}

export function readSchemas(path, { closed = false } = {}) {
	const bundle = JSON.parse(readFileSync(path, "utf8"));
	// Headers of a dead letter are also those of the message, whatever they were.
	if (closed) Object.entries(bundle.$defs).forEach(([name, schema]) => name.endsWith(".headers") || close(schema));
	const ajv = new Ajv2020({ strictTypes: false, strictRequired: false, allErrors: true });
	formats(ajv);
	ajv.addSchema(bundle, "leat");
	const validators = new Map();
	for (const name of Object.keys(bundle.$defs)) validators.set(name, ajv.getSchema(`leat#/$defs/${name}`));
	return validators;
}
