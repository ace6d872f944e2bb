import { Agent } from 'node:https';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointPlace } from '../../../test/fakes/endpoint-place.ts';
import { bundleOf, makeAuthority } from '../../../test/fakes/test-certificates.ts';
import { asPem, makeIdentity, SERVER_ID } from '../../../test/fakes/tls-place.ts';
import {
  parseX509Svid,
  serializeBundleDocument,
  TrustplaneError,
  verifyX509Svid,
} from '../../spiffe/index.ts';

let place: EndpointPlace;

beforeEach(async () => {
  place = await EndpointPlace.create();
});

afterEach(() => place.close());

it('gives the bundle to whoever asks, without a certificate (FED-11, FED-12)', async () => {
  await place.serve();
  const { status, headers, body } = await place.ask();
  expect([status, headers['content-type']]).toEqual([200, 'application/json']);
  expect(body).toBe(serializeBundleDocument(place.trust.current().own));
  expect(headers['content-length']).toBe(String(Buffer.byteLength(body)));
});

it('does not ask for a certificate, and takes no notice of one (FED-11)', async () => {
  await place.serve();
  const stranger = await makeAuthority({ subject: 'CN=stranger' });
  const identity = await makeIdentity({ issuer: stranger });
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    expect((await place.ask('/', { maxVersion, ...asPem(identity) })).status).toBe(200);
  }
});

it('shows an X509-SVID of exactly the ID of the server (FED-16)', async () => {
  await place.serve();
  const socket = await place.openTls();
  const svid = parseX509Svid([new Uint8Array(socket.getPeerCertificate().raw)]);
  expect(svid.spiffeId.toString()).toBe(SERVER_ID);
  verifyX509Svid(svid, place.trust.current().own, place.clock.now());
});

it('shows a renewed identity from the next connection on, and goes on with the others', async () => {
  await place.serve();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  place.defer(() => agent.destroy());
  await place.ask('/', { agent });
  place.identity = await makeIdentity({
    issuer: place.authority,
    uris: [SERVER_ID],
    serialNumber: '77',
  });
  expect((await place.openTls()).getPeerCertificate().serialNumber).toBe('77');
  expect((await place.ask('/', { agent })).status).toBe(200);
  expect(
    await place.figure('trustplane_wire_connections_accepted_total{socket="bundle-endpoint"}'),
  ).toBe(2);
});

it('refuses connections while it has nothing to show, and serves again', async () => {
  let isExpired = true;
  await place.serve({
    identity() {
      if (isExpired) throw new TrustplaneError('ERR_CA_EXPIRED', 'expired');
      return place.identity;
    },
  });
  await expect(place.ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(await place.refused('server_identity')).toBe(1);
  isExpired = false;
  expect((await place.ask()).status).toBe(200);
});

it('has a change at once, and tells by the tag when there is none', async () => {
  await place.serve();
  const first = await place.ask();
  const headers = { 'if-none-match': String(first.headers.etag) };
  expect(await place.ask('/', { headers })).toMatchObject({ status: 304, body: '' });
  place.trust.set({ ...bundleOf('a.test', await makeAuthority()), sequenceNumber: 2n });
  const next = await place.ask('/', { headers });
  expect(next).toMatchObject({ status: 200 });
  expect(JSON.parse(next.body).spiffe_sequence).toBe(2);
  expect(next.headers.etag).not.toBe(first.headers.etag);
  expect([await place.answers(200), await place.answers(304)]).toEqual([2, 1]);
});

it('answers HEAD as GET, and 304 to it too, without a body (FED-12)', async () => {
  await place.serve();
  const got = await place.ask();
  const { 'content-length': length, etag } = got.headers;
  const head = await place.ask('/', { method: 'HEAD' });
  expect(head).toMatchObject({
    status: 200,
    body: '',
    headers: { 'content-length': length, etag },
  });
  const asked = { method: 'HEAD', headers: { 'if-none-match': '*' } };
  expect(await place.ask('/', asked)).toMatchObject({ status: 304, body: '' });
});

it('answers other paths and methods with what they are, and never redirects (FED-12, FED-13)', async () => {
  await place.serve({ path: '/bundle' });
  expect(await place.ask('/')).toMatchObject({ status: 404, body: '' });
  expect(await place.ask('/bundle/')).toMatchObject({ status: 404 });
  const posted = await place.ask('/bundle', { method: 'POST' });
  expect([posted.status, posted.headers.allow]).toEqual([405, 'GET, HEAD']);
  expect(await place.answers(404)).toBe(2);
});

it('sends a map that is larger than what is sent at once (MAP-1)', async () => {
  const authority = await makeAuthority({ uris: [] });
  const names = Array.from({ length: 300 }, (_, index) => `d${index}.test`);
  place.trust.set(place.trust.current().own, ...names.map((name) => bundleOf(name, authority)));
  await place.serve();
  const { headers, body } = await place.ask('/map');
  expect(body.length).toBeGreaterThan(200_000);
  expect(headers['content-length']).toBe(String(body.length));
  expect(Object.keys(JSON.parse(body).trust_domains)).toHaveLength(301);
});

it('answers 500 where a bundle cannot be written down, and goes on', async () => {
  await place.serve();
  const { own } = place.trust.current();
  const key = { keyId: '', publicKey: new Uint8Array(), expiresAt: undefined, tainted: false };
  place.trust.set({ ...own, jwtAuthorities: [key] });
  expect(await place.ask()).toMatchObject({ status: 500, body: '' });
  place.trust.set(own);
  expect(await place.ask()).toMatchObject({ status: 200 });
});

it('publishes elsewhere, and something else, from one request to the next', async () => {
  const { publish } = await place.serve();
  expect((await place.ask('/map')).status).toBe(200);
  publish({ path: '/b', leaveOutWitKeys: true, bundleMap: { path: undefined, envoyPath: '/' } });
  const statuses = [];
  for (const path of ['/b', '/', '/map']) statuses.push((await place.ask(path)).status);
  expect(statuses).toEqual([200, 200, 404]);
});

describe('a body', () => {
  it.each([
    ['of a length', 'Content-Length: 5\r\n\r\nhello'],
    ['in chunks that never end', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['that is announced', 'Content-Length: 5\r\nExpect: 100-continue\r\n\r\n'],
  ])('%s is not waited for', async (_what, rest) => {
    await place.serve();
    const answer = await place.exchange(`GET / HTTP/1.1\r\nHost: x\r\n${rest}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\nconnection: close\r\n/i);
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

it('answers what is no HTTP with 400, and 431 where there is too much of it', async () => {
  await place.serve();
  expect(await place.exchange('\u0000\u0001\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  expect(await place.exchange('GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
  const long = `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`;
  expect(await place.exchange(long)).toMatch(/^HTTP\/1\.1 431 /);
  expect([await place.answers(400), await place.answers(431)]).toEqual([1, 1]);
});
