// Viewer tokens made and read by the package `jose` itself; prints tests/vectors/jose.json.
//
//   npm install jose@6 && node jose.mjs        in a folder that holds this file
//
// `ours` is what ViewerTokens::issue makes, to the byte; jose read it when these were made.
import { createRequire } from 'node:module';
import { SignJWT, UnsecuredJWT, jwtVerify } from 'jose';

const { version } = createRequire(import.meta.url)('jose/package.json');
const SECRET = 'a-viewer-token-secret-of-its-own-and-long-enough';
const NOW = 1_800_000_000;
const key = new TextEncoder().encode(SECRET);
const claims = { buildId: 'b_1', scope: 'build:events' };

const signer = (more = {}, header = { alg: 'HS256' }) =>
  new SignJWT({ ...claims, ...more })
    .setProtectedHeader(header)
    .setSubject('u_1')
    .setIssuedAt(NOW)
    .setExpirationTime(NOW + 600);

const tokens = [
  ['as the front end signs', await signer().sign(key), 'accepted'],
  ['with typ', await signer({}, { alg: 'HS256', typ: 'JWT' }).sign(key), 'accepted'],
  ['with a key id', await signer({}, { alg: 'HS256', kid: 'v1' }).sign(key), 'accepted'],
  ['with jti and iss', await signer().setJti('1').setIssuer('web').sign(key), 'accepted'],
  ['a text outside ASCII', await signer({ name: 'Zoë ✓' }).sign(key), 'accepted'],
  ['a minute', await signer().setExpirationTime(NOW + 60).sign(key), 'accepted'],
  ['another scope', await signer({ scope: 'build:write' }).sign(key), 'scope'],
  ['expired', await signer().setIssuedAt(NOW - 600).setExpirationTime(NOW).sign(key), 'expired'],
  ['too long a life', await signer().setExpirationTime(NOW + 601).sign(key), 'invalid'],
  ['not before', await signer().setNotBefore(NOW).sign(key), 'invalid'],
  ['for an audience', await signer().setAudience('worker').sign(key), 'invalid'],
  ['HS512', await signer({}, { alg: 'HS512' }).sign(key), 'invalid'],
  ['another secret', await signer().sign(new TextEncoder().encode('x'.repeat(48))), 'invalid'],
  ['unsecured', new UnsecuredJWT(claims).setSubject('u_1').setIssuedAt(NOW).setExpirationTime(NOW + 600).encode(), 'invalid'],
];

const text = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const issued = { sub: 'u_9', buildId: 'b_9', scope: 'build:events', iat: NOW, exp: NOW + 600 };
const { createHmac } = await import('node:crypto');
const body = `${text({ alg: 'HS256', typ: 'JWT' })}.${text(issued)}`;
const token = `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
const options = { algorithms: ['HS256'], currentDate: new Date(NOW * 1000), subject: 'u_9' };
const read = await jwtVerify(token, key, options);

console.log(
  JSON.stringify(
    {
      about: `Made by jose ${version} with tests/interop/jose.mjs.`,
      secret: SECRET,
      now: NOW,
      tokens: tokens.map(([what, token, says]) => ({ what, token, says })),
      ours: { token, claims: read.payload },
    },
    null,
    1,
  ),
);
