// What `nsc` would make: an operator, an account with JetStream and a user of it. Writes to the folder named on the command line:
// jwt.conf, for nats-server, and user.creds, for LEAT_NATS_CREDS.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

// nkeys.js comes with the client, nats.
const { createAccount, createOperator, createUser } = createRequire(import.meta.resolve("nats"))("nkeys.js");
const folder = process.argv[2];

function sign(issuer, subject, name, nats) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name, nats };
  const signed = `${encode({ typ: "JWT", alg: "ed25519-nkey" })}.${encode(claims)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

const [operator, system, account, user] = [createOperator(), createAccount(), createAccount(), createUser()];
const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
const accountJwt = (key, name, limits) => sign(operator, key, name, { limits, default_permissions: { pub: {}, sub: {} }, type: "account", version: 2 });

writeFileSync(`${folder}/jwt.conf`, `
operator: ${sign(operator, operator, "test", { type: "operator", version: 2, system_account: system.getPublicKey() })}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${system.getPublicKey()}: ${accountJwt(system, "SYS", unlimited)}
  ${account.getPublicKey()}: ${accountJwt(account, "LEAT", { ...unlimited, ...storage })}
}
`);
const userJwt = sign(account, user, "leat", { pub: {}, sub: {}, subs: -1, data: -1, payload: -1, type: "user", version: 2 });
writeFileSync(`${folder}/user.creds`, `-----BEGIN NATS USER JWT-----
${userJwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${Buffer.from(user.getSeed())}
------END USER NKEY SEED------
`);
