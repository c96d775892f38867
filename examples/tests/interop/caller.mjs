// A front end in plain Node (18 or later, no package) that signs as callers in the field do, and
// calls a worker over HTTP. It shares no code with the verifier.
//
//   SECRET=… node caller.mjs URL     prints {what, status, error, deprecation} of each call, a line each
import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { request } from 'node:http';

const SECRET = process.env.SECRET;
const url = new URL(process.argv[2]);
const hmac = (message) => createHmac('sha256', SECRET).update(message).digest('hex');
const nonce = () => randomBytes(16).toString('base64url');
const millis = () => String(Date.now());

function canonicalQuery(search, order) {
  const pairs = [...new URLSearchParams(search).entries()];
  const bytes = (text) => Buffer.from(encodeURIComponent(text));
  pairs.sort(order === 'bytes' ? (a, b) => Buffer.compare(bytes(a[0]), bytes(b[0])) : (a, b) => a[0].localeCompare(b[0]));
  return pairs.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&');
}

function v2(method, path, search, body, { order = 'bytes', timestamp = millis(), once = nonce() } = {}) {
  const hash = createHash('sha256').update(body).digest('hex');
  const text = [method, path, canonicalQuery(search, order), hash, once, timestamp].join('\n');
  return { 'x-sheen-sig-v2': hmac(text), 'x-sheen-nonce': once, 'x-sheen-timestamp': timestamp };
}

const v1 = (path, search, body) => ({ 'x-sheen-signature': hmac(body + path + search) });

function v1RequestId(body) {
  const [id, timestamp] = [`req_${randomUUID()}`, millis()];
  const signature = hmac(`${timestamp}:${id}:${body}`);
  return { 'x-sheen-signature': signature, 'x-sheen-request-id': id, 'x-sheen-timestamp': timestamp };
}

function send(method, target, body, headers) {
  return new Promise((resolve, reject) => {
    const typed = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const options = { host: url.hostname, port: url.port, method, path: target, headers: { ...typed, ...headers } };
    const sent = request(options, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => {
        const text = Buffer.concat(pieces).toString();
        resolve({ status: answer.statusCode, headers: answer.headers, json: text === '' ? null : JSON.parse(text) });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

async function call(what, method, path, search, body, headers, sent = body) {
  const answer = await send(method, path + search, sent, headers);
  const error = answer.json?.error ?? null;
  console.log(JSON.stringify({ what, status: answer.status, error, deprecation: answer.headers.deprecation ?? null }));
  return answer;
}

const ESTIMATE = ['POST', '/v1/estimate', ''];
const UPDATE = '{"operationType":"update"}';
const BALANCE = '/v1/billing/balance/u_node';
// Sorted one way by bytes and another by localeCompare.
const SEARCH = '?b=2&B=1&_=x&%C3%A9=1&e=2&a=two+words&a=%2B&Z=!*()';

await call('v2', ...ESTIMATE, UPDATE, v2(...ESTIMATE, UPDATE));
await call('v2 in seconds', ...ESTIMATE, UPDATE, v2(...ESTIMATE, UPDATE, { timestamp: millis().slice(0, 10) }));
for (const order of ['bytes', 'locale']) {
  await call(`v2, query by ${order}`, 'GET', BALANCE, SEARCH, '', v2('GET', BALANCE, SEARCH, '', { order }));
}
const neither = v2('GET', BALANCE, '?x=1', '');
await call('v2 of another query', 'GET', BALANCE, SEARCH, '', neither);
await call('v1', ...ESTIMATE, UPDATE, v1('/v1/estimate', '', UPDATE));
await call('v1 with a query', 'GET', BALANCE, SEARCH, '', v1(BALANCE, SEARCH, ''));
await call('v1-request-id', ...ESTIMATE, UPDATE, v1RequestId(UPDATE));
await call('both', ...ESTIMATE, UPDATE, { ...v1('/v1/estimate', '', UPDATE), ...v2(...ESTIMATE, UPDATE) });

const once = v2(...ESTIMATE, UPDATE);
await call('once', ...ESTIMATE, UPDATE, once);
await call('twice', ...ESTIMATE, UPDATE, once);
await call('another body', ...ESTIMATE, UPDATE, v2(...ESTIMATE, UPDATE), UPDATE.replace('update', 'main_build'));
const early = String(Date.now() - 121_000);
await call('too early', ...ESTIMATE, UPDATE, v2(...ESTIMATE, UPDATE, { timestamp: early }));
const both = { ...v1('/v1/estimate', '', '{"operationType":"main_build"}') };
const marked = '{"operationType":"main_build"}';
await call('both, to be stripped', ...ESTIMATE, marked, { ...both, ...v2(...ESTIMATE, marked) });
await call('stripped of v2', ...ESTIMATE, marked, both);
await call('unsigned', ...ESTIMATE, UPDATE, {});

// A build, a viewer token from the worker, and its events read with it.
const start = '{"userId":"u_node","projectId":"p_node","prompt":"A site"}';
const create = ['POST', '/v1/create-preview-for-new-project', ''];
const started = await call('start', ...create, start, v2(...create, start));
const build = started.json.buildId;
const asked = ['POST', `/v1/builds/${build}/viewer-token`, ''];
const user = '{"userId":"u_node"}';
const issued = await call('viewer token', ...asked, user, v2(...asked, user));
const events = `/v1/builds/${build}/events`;
await call('events by token', 'GET', events, '', '', { authorization: `Bearer ${issued.json.token}` });
await call('events by token in the query', 'GET', events, `?access_token=${issued.json.token}`, '', {});
await call('another build by token', 'GET', '/v1/builds/b_other/events', '', '', { authorization: `Bearer ${issued.json.token}` });
