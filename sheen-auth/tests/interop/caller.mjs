// A caller of our own in plain Node (18 or later, no package): signs as front ends in the field do,
// and makes and reads JWTs as `jose` does. It shares no code with the verifier.
//
//   node caller.mjs vectors            prints the vectors that tests/vectors/interop.json holds
//   node caller.mjs read TOKEN NOW     prints the claims of a viewer token, or fails
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

const SECRET = 'correct-horse-battery-staple-32-bytes-min';
const TOKEN_SECRET = 'a-viewer-token-secret-of-its-own-and-long-enough';
const NOW = 1_800_000_000_000;

const hmac = (message) => createHmac('sha256', SECRET).update(message).digest('hex');

function canonicalQuery(search, order) {
  const pairs = [...new URLSearchParams(search).entries()];
  const encoded = (text) => encodeURIComponent(text);
  const byBytes = (a, b) => Buffer.compare(Buffer.from(encoded(a[0])), Buffer.from(encoded(b[0])));
  const byLocale = (a, b) => a[0].localeCompare(b[0]);
  pairs.sort(order === 'bytes' ? byBytes : byLocale);
  return pairs.map(([key, value]) => `${encoded(key)}=${encoded(value)}`).join('&');
}

function signed(number, [method, path, search, body]) {
  const timestamp = String(NOW + number);
  const nonce = createHash('sha256').update(`nonce ${number}`).digest('base64url').slice(0, 22);
  const requestId = `req_${createHash('sha256').update(`id ${number}`).digest('hex').slice(0, 32)}`;
  const bodyHash = createHash('sha256').update(body).digest('hex');
  const v2 = (order) =>
    hmac([method.toUpperCase(), path, canonicalQuery(search, order), bodyHash, nonce, timestamp].join('\n'));
  return {
    method,
    path,
    query: search === '' ? null : search.slice(1),
    body,
    timestamp,
    nonce,
    requestId,
    v2Bytes: v2('bytes'),
    v2Locale: v2('locale'),
    v1: hmac(body + path + search),
    v1RequestId: hmac(`${timestamp}:${requestId}:${body}`),
  };
}

const REQUESTS = [
  ['GET', '/v1/builds/b_1', '', ''],
  ['POST', '/v1/estimate', '', '{"userId":"u_1","operationType":"update"}'],
  ['GET', '/v1/builds/b_1/events', '?userId=u_1&cursor=&limit=50', ''],
  ['GET', '/v1/builds/b_1/events', '?limit=50&cursor=a%2Fb&userId=u_1', ''],
  ['post', '/v1/projects/p_1/files', '?b=2&B=1&a=3&A=4&_=5&-=6', '{"operations":[]}'],
  ['GET', '/v1/search', '?q=two+words&q=%2B&Q=x&é=1&e=2&ê=3&z=4', ''],
  ['DELETE', '/v1/x%2Fy', "?k[]=1&k[]=2&k=!~*'()&%F0%9F%98%80=ok", ''],
  ['PUT', '/v1/builds', '?a10=1&a2=2&a1=3&A1=4', 'ünï\n'],
  ['PATCH', '/', '?&&=empty&x&x=&', '{}'],
];

const base64url = (value) => Buffer.from(value).toString('base64url');

function jwt(claims, header = { alg: 'HS256' }, secret = TOKEN_SECRET) {
  const text = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

// As jose's SignJWT: the header as given, claims in the order in which they were set.
function tokens() {
  const iat = NOW / 1000;
  const claims = { buildId: 'b_1', scope: 'build:events', sub: 'u_1', iat, exp: iat + 600 };
  return [
    { what: 'as SignJWT makes it', token: jwt(claims), says: 'accepted' },
    { what: 'with typ', token: jwt(claims, { alg: 'HS256', typ: 'JWT' }), says: 'accepted' },
    { what: 'another order', token: jwt({ exp: iat + 60, iat, sub: 'u_1', scope: 'build:events', buildId: 'b_1' }), says: 'accepted' },
    { what: 'another scope', token: jwt({ ...claims, scope: 'build:write' }), says: 'scope' },
    { what: 'expired', token: jwt({ ...claims, iat: iat - 600, exp: iat }), says: 'expired' },
    { what: 'too long a life', token: jwt({ ...claims, exp: iat + 601 }), says: 'invalid' },
    { what: 'without exp', token: jwt({ ...claims, exp: undefined }), says: 'invalid' },
    { what: 'alg none', token: `${base64url('{"alg":"none"}')}.${base64url(JSON.stringify(claims))}.`, says: 'invalid' },
    { what: 'alg HS512 over an HS256 mac', token: jwt(claims, { alg: 'HS512' }), says: 'invalid' },
    { what: 'another secret', token: jwt(claims, { alg: 'HS256' }, SECRET), says: 'invalid' },
  ];
}

// As jose's jwtVerify with algorithms: ['HS256'].
function read(token, now) {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error('three parts are wanted');
  const [header, payload, signature] = parts;
  if (JSON.parse(Buffer.from(header, 'base64url')).alg !== 'HS256') throw new Error('not HS256');
  const wanted = createHmac('sha256', TOKEN_SECRET).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Error('another signature');
  const claims = JSON.parse(Buffer.from(payload, 'base64url'));
  if (claims.exp <= now) throw new Error('expired');
  return claims;
}

const [command, ...rest] = process.argv.slice(2);
if (command === 'vectors') {
  const vectors = {
    about: 'Made by tests/interop/caller.mjs; a test makes them anew where there is node.',
    secret: SECRET,
    tokenSecret: TOKEN_SECRET,
    now: NOW,
    requests: REQUESTS.map((request, number) => signed(number, request)),
    tokens: tokens(),
  };
  console.log(JSON.stringify(vectors, null, 1));
} else if (command === 'read') {
  console.log(JSON.stringify(read(rest[0], Number(rest[1]))));
} else {
  console.error('vectors, or read TOKEN NOW');
  process.exitCode = 2;
}
