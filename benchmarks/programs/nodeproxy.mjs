// A reverse proxy on node:http, told to do the same work as the proxy that it is compared with.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';

const { BENCH_BACKEND, BENCH_PORT, BENCH_POOLED, BENCH_PEM, BENCH_TIMEOUT } = process.env;
const timeout = Number(BENCH_TIMEOUT);
const scheme = BENCH_PEM ? 'https' : 'http';
const agent = new http.Agent({ keepAlive: Boolean(BENCH_POOLED), maxFreeSockets: 512, scheduling: 'lifo' });
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'];

function options(request) {
  const headers = { ...request.headers };
  const chunked = 'transfer-encoding' in headers;
  for (const name of HOP_BY_HOP) delete headers[name];
  if (chunked) headers['transfer-encoding'] = 'chunked';
  const before = headers['x-forwarded-for'];
  const address = request.socket.remoteAddress;
  headers['x-forwarded-for'] = before ? `${before}, ${address}` : address;
  headers['x-forwarded-proto'] = scheme;
  headers['x-forwarded-port'] = BENCH_PORT;
  headers['x-request-id'] = randomBytes(16).toString('hex');
  headers['x-request-start'] = String(Date.now());
  headers.via = headers.via ? `${headers.via}, 1.1 node` : '1.1 node';
  return { host: '127.0.0.1', port: BENCH_BACKEND, agent, timeout, method: request.method, path: request.url, headers };
}

function answer(request, response) {
  const upstream = http.request(options(request), (from) => {
    const headers = { ...from.headers };
    for (const name of HOP_BY_HOP) delete headers[name];
    headers.via = headers.via ? `${headers.via}, 1.1 node` : '1.1 node';
    response.writeHead(from.statusCode, from.statusMessage, headers);
    from.pipe(response);
  });
  upstream.on('timeout', () => upstream.destroy(new Error('timeout')));
  upstream.on('error', () => {
    if (!response.headersSent) response.writeHead(502);
    response.end();
  });
  response.on('close', () => { if (!response.writableFinished) upstream.destroy(); });
  // Without a body there is nothing to pipe; `pipe` alone would make such a request chunked.
  if ('content-length' in request.headers || 'transfer-encoding' in request.headers) request.pipe(upstream);
  else upstream.end();
}

function upgrade(request, socket, head) {
  const wanted = options(request);
  wanted.agent = undefined;
  wanted.headers.connection = 'Upgrade';
  wanted.headers.upgrade = request.headers.upgrade;
  const upstream = http.request(wanted);
  upstream.on('upgrade', (from, other, rest) => {
    let lines = 'HTTP/1.1 101 Switching Protocols\r\n';
    for (let at = 0; at < from.rawHeaders.length; at += 2) lines += `${from.rawHeaders[at]}: ${from.rawHeaders[at + 1]}\r\n`;
    socket.write(`${lines}\r\n`);
    socket.setNoDelay(true);
    other.setNoDelay(true);
    socket.on('error', () => other.destroy());
    other.on('error', () => socket.destroy());
    if (head.length) other.write(head);
    if (rest.length) socket.write(rest);
    other.pipe(socket);
    socket.pipe(other);
  });
  upstream.on('error', () => socket.destroy());
  upstream.end();
}

const server = BENCH_PEM
  ? https.createServer({ key: readFileSync(BENCH_PEM), cert: readFileSync(BENCH_PEM), minVersion: 'TLSv1.3' }, answer)
  : http.createServer(answer);
server.keepAliveTimeout = timeout;
server.headersTimeout = timeout + 1000;
server.requestTimeout = 0;
server.on('upgrade', upgrade);
server.listen({ host: '127.0.0.1', port: Number(BENCH_PORT), backlog: 1024 });
