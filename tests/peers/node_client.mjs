// A Node client on keep-alive connections: node node_client.mjs PORT DOMAIN ROUNDS
//
// It stands before the proxy. Everything that goes wrong ends it with status 1; what it did it prints as JSON:
// `requests`, and `sockets`, how many connections it opened for them.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import http from "node:http";

const [port, domain, rounds] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const whole = Buffer.alloc(200_000, "0123456789abcdef-");
const digest = createHash("sha256").update(whole).digest("hex");
const sockets = new Set();
let requests = 0;

// One request; `pieces` are written one by one, and chunked unless `headers` say a length.
function ask(method, path, { headers = {}, pieces = [], waits = false } = {}) {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, method, agent, headers: { Host: domain, ...headers } };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("aborted", () => reject(new Error(`${method} ${path}: the answer broke off`)));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on("error", reject);
    request.on("socket", (socket) => sockets.add(socket));
    const write = () => {
      pieces.forEach((piece) => request.write(piece));
      request.end();
    };
    if (waits) request.on("continue", write);
    else write();
    requests += 1;
  });
}

for (let round = 0; round < Number(rounds); round += 1) {
  const got = JSON.parse((await ask("GET", `/${round}?a=b`)).body);
  assert.deepEqual([got.method, got.target], ["GET", `/${round}?a=b`]);

  const length = { "Content-Length": whole.length };
  assert.equal(JSON.parse((await ask("POST", "/sink", { headers: length, pieces: [whole] })).body).sha256, digest);

  const halves = [whole.subarray(0, 1), whole.subarray(1)];
  const chunked = { headers: { "Transfer-Encoding": "chunked" }, pieces: halves };
  assert.equal(JSON.parse((await ask("PUT", "/sink", chunked)).body).sha256, digest);

  const expecting = { headers: { ...length, Expect: "100-continue" }, pieces: [whole], waits: true };
  assert.equal(JSON.parse((await ask("POST", "/sink", expecting)).body).sha256, digest);

  const head = await ask("HEAD", "/bytes/777");
  assert.deepEqual([head.headers["content-length"], head.body.length], ["777", 0]);

  assert.equal((await ask("GET", "/chunked/100000")).body.length, 100_000);
  assert.deepEqual((await ask("DELETE", "/status/204")).status, 204);
}
agent.destroy();

// fetch has a client of its own, not http's.
const url = `http://127.0.0.1:${port}/sink`;
for (let round = 0; round < Number(rounds); round += 1) {
  const stream = new Blob([whole]).stream();
  const answer = await fetch(url, { method: "POST", body: stream, duplex: "half" });
  assert.equal((await answer.json()).sha256, digest);
  requests += 1;
}
console.log(JSON.stringify({ requests, sockets: sockets.size }));
process.exit(0);
