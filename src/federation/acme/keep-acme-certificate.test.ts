import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AcmeServer, dnsNamesOf } from '../../../test/fakes/acme-server.ts';
import { EndpointPlace, PATIENCE, until } from '../../../test/fakes/endpoint-place.ts';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { testNow } from '../../../test/fakes/test-certificates.ts';
import { createMetrics, type Metrics, silentLog } from '../../ops/index.ts';
import {
  type AcmeCertificate,
  type AcmeOptions,
  keepAcmeCertificate,
} from './keep-acme-certificate.ts';

const DAY_MS = 86_400_000;
let place: EndpointPlace;
let acme: AcmeServer;
let folder: string;
let clock: FakeClock;
let metrics: Metrics;
let kept: AcmeCertificate | undefined;

beforeEach(async () => {
  place = await EndpointPlace.create();
  clock = new FakeClock(testNow);
  acme = await AcmeServer.start({ reach: () => place.port, now: () => clock.now() });
  folder = path.join(await mkdtemp(path.join(tmpdir(), 'tp-acme-')), 'acme');
});

afterEach(async () => {
  await kept?.close();
  kept = undefined;
  await place.close();
  await acme.close();
  await rm(path.dirname(folder), { recursive: true });
});

async function keep(options: Partial<AcmeOptions> = {}): Promise<AcmeCertificate> {
  metrics = createMetrics();
  kept = await keepAcmeCertificate({
    directoryUrl: acme.directoryUrl,
    domainNames: ['bundle.a.test'],
    email: 'ops@a.test',
    ca: acme.ca,
    folder,
    clock,
    log: silentLog,
    metrics,
    random: () => 0,
    ...options,
  });
  return kept;
}

/** Serves the endpoint with it, and starts it. */
async function serve(options: Partial<AcmeOptions> = {}): Promise<AcmeCertificate> {
  const certificate = await keep(options);
  await place.serve({
    identity: () => certificate.current(),
    acmeChallenge: () => certificate.challenge(),
    metrics: createMetrics(),
  });
  certificate.start();
  return certificate;
}

/** Passes time for polls, which wait for seconds, until it holds. */
async function passTime(holds: () => boolean, mostMs = 60_000): Promise<void> {
  const end = clock.now() + mostMs;
  await until(() => {
    if (!holds() && clock.timers > 0 && clock.now() < end) clock.advance(1_000);
    return holds();
  });
}

const isShown = (certificate: AcmeCertificate) => () => certificate.fault() === undefined;

async function failures(): Promise<number> {
  const name = 'trustplane_federation_endpoint_certificate_failures_total';
  const line = (await metrics.render()).split('\n').find((one) => one.startsWith(name));
  return Number(line?.slice(name.length));
}

it('has a certificate issued, proves the name at the endpoint, and shows it there', async () => {
  const certificate = await serve();
  expect(certificate.fault()).toBe('there is no certificate yet');
  expect(() => certificate.current()).toThrow(
    expect.objectContaining({ code: 'ERR_ENDPOINT_CERTIFICATE' }),
  );
  await expect(place.ask()).rejects.toMatchObject({ code: 'ECONNRESET' });
  await passTime(isShown(certificate));
  const socket = await place.openTls({ servername: 'bundle.a.test' });
  const shown = new X509Certificate(socket.getPeerCertificate().raw);
  expect(shown.subjectAltName).toBe('DNS:bundle.a.test');
  expect(shown.checkIssued(new X509Certificate(acme.authority.der))).toBe(true);
  expect(acme.contacts).toEqual([['mailto:ops@a.test']]);
  expect(certificate.challenge()).toBeUndefined();
  expect(await failures()).toBe(0);
});

it('proves several names, and one certificate is for all', async () => {
  const certificate = await serve({ domainNames: ['one.a.test', 'two.a.test'], email: undefined });
  await passTime(isShown(certificate));
  const { certificateChain } = certificate.current();
  expect(dnsNamesOf(certificateChain)).toBe('DNS:one.a.test, DNS:two.a.test');
  expect(certificateChain).toHaveLength(2);
  expect(acme.contacts).toEqual([undefined]);
});

it('keeps account key and certificate to itself, and takes them up again', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  const before = certificate.current();
  expect((await readdir(folder)).sort()).toEqual(['account.key', 'certificate.pem']);
  for (const name of await readdir(folder))
    expect((await stat(path.join(folder, name))).mode & 0o777).toBe(0o600);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  await certificate.close();
  const again = await keep();
  expect(again.fault()).toBeUndefined();
  expect(again.current()).toEqual(before);
  again.start();
  await until(() => clock.timers === 1);
  expect([acme.certificates, acme.accounts]).toEqual([1, 1]);
});

it('renews with the same account when two thirds of the life have passed', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  const first = certificate.current();
  await passTime(() => clock.timers === 1);
  await clock.advanceAsync(60 * DAY_MS - 120_000);
  expect(acme.certificates).toBe(1);
  await clock.advanceAsync(120_000);
  await passTime(() => certificate.current() !== first);
  expect([acme.certificates, acme.accounts]).toEqual([2, 1]);
  expect(certificate.current().privateKey).not.toEqual(first.privateKey);
});

it('orders less and less often where each certificate is to be renewed at once', async () => {
  await acme.close();
  // As if the clock here were a year ahead.
  acme = await AcmeServer.start({
    reach: () => place.port,
    now: () => clock.now() - 365 * DAY_MS,
  });
  await serve();
  const issuedAt: number[] = [];
  for (let count = 1; count <= 3; count++) {
    await passTime(() => acme.certificates === count, 600_000);
    issuedAt.push(clock.now());
  }
  const [first = 0, second = 0, third = 0] = issuedAt;
  expect(second - first).toBeGreaterThanOrEqual(60_000);
  expect(third - second).toBeGreaterThanOrEqual(120_000);
});

it('orders another certificate when the names are others', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  await certificate.close();
  await place.close();
  const other = await serve({ domainNames: ['other.a.test'] });
  expect(other.fault()).toBe('there is no certificate yet');
  await passTime(isShown(other));
  expect(dnsNamesOf(other.current().certificateChain)).toBe('DNS:other.a.test');
});

it('orders another certificate when the one that was kept is damaged', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  await certificate.close();
  const file = path.join(folder, 'certificate.pem');
  await writeFile(file, (await readFile(file, 'latin1')).slice(0, -100));
  await place.close();
  await passTime(isShown(await serve()));
  expect(acme.certificates).toBe(2);
});

it('spends another nonce where one was not accepted', async () => {
  acme.staleNonces = 2;
  const certificate = await serve();
  await passTime(isShown(certificate));
  expect(acme.staleNonces).toBe(0);
});

it('shows ordinary clients what it always shows while a name is validated', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  await passTime(() => clock.timers === 1);
  acme.slowness = 1_000;
  acme.forget();
  await clock.advanceAsync(59 * DAY_MS);
  // At once, so that no time is left for polls.
  clock.advance(2 * DAY_MS);
  await until(() => certificate.challenge() !== undefined);
  const socket = await place.openTls({ ALPNProtocols: ['http/1.1'] });
  expect(new X509Certificate(socket.getPeerCertificate().raw).subjectAltName).toBe(
    'DNS:bundle.a.test',
  );
  expect((await place.ask()).status).toBe(200);
  expect(certificate.challenge()).toBeDefined();
});

it('shows nothing to those who validate while it has asked nobody', async () => {
  const certificate = await serve();
  await passTime(isShown(certificate));
  await expect(place.openTls({ ALPNProtocols: ['acme-tls/1'] })).rejects.toThrow(
    'application protocol',
  );
});

describe('a failure', () => {
  /** Until it has failed, and is waiting. */
  async function failed(certificate: AcmeCertificate): Promise<string> {
    await passTime(() => certificate.fault() !== 'there is no certificate yet');
    await until(() => clock.timers === 1);
    return certificate.fault() ?? '';
  }

  it('to be reached says so, and is tried again after twice as long each time', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const address = closed.address();
    closed.close();
    const directoryUrl = `https://localhost:${typeof address === 'object' ? address?.port : 0}/`;
    const certificate = await serve({ directoryUrl });
    expect(await failed(certificate)).toContain('ECONNREFUSED');
    for (const [index, waitMs] of [60_000, 120_000, 240_000].entries()) {
      expect(await failures()).toBe(index + 1);
      clock.advance(waitMs - 1);
      await settle();
      expect(clock.timers).toBe(1);
      clock.advance(1);
      await expect.poll(failures, PATIENCE).toBe(index + 2);
      await until(() => clock.timers === 1);
    }
  });

  it('because of a rate limit waits as long as it is told', async () => {
    acme.nextRefusals.push({ status: 429, type: 'rateLimited', retryAfter: '3600' });
    const certificate = await serve();
    expect(await failed(certificate)).toContain('429, rateLimited: not now');
    const posts = acme.posted.length;
    await clock.advanceAsync(3_599_000);
    expect(acme.posted).toHaveLength(posts);
    clock.advance(1_000);
    await passTime(isShown(certificate));
  });

  it('to validate a name tells why, and keeps the certificate there is', async () => {
    const certificate = await serve();
    await passTime(isShown(certificate));
    const shown = certificate.current();
    await passTime(() => clock.timers === 1);
    await clock.advanceAsync(59 * DAY_MS);
    await place.close();
    acme.forget();
    clock.advance(2 * DAY_MS);
    await passTime(() => certificate.fault() !== undefined);
    expect(certificate.fault()).toMatch(
      /did not validate bundle\.a\.test: unauthorized: .*ECONNREFUSED/,
    );
    expect(certificate.current()).toBe(shown);
    expect(await failures()).toBe(1);
    await until(() => clock.timers === 1);
    clock.advance(40 * DAY_MS);
    await until(() => certificate.fault()?.startsWith('the certificate has expired; ') === true);
  });

  it.each([
    ['an account that is bound to another', { externalAccountRequired: true }, 'EAB'],
    ['a directory with something else', { externalAccountRequired: 'x' }, 'malformed'],
  ])('because the authority has %s says so', async (_what, meta, why) => {
    acme.directoryMeta = meta;
    expect(await failed(await serve())).toContain(why);
  });

  it('because the authority offers other challenges says which', async () => {
    acme.challengeTypes = ['http-01', 'dns-01'];
    expect(await failed(await serve())).toContain('it offers http-01, dns-01');
  });

  it('because the certificate is for other names leaves nothing behind', async () => {
    acme.issuedNames = ['evil.test'];
    expect(await failed(await serve())).toContain('not for the names that were asked for');
    expect(await readdir(folder)).toEqual(['account.key']);
  });

  it('because the certificate of the authority is not vouched for says so', async () => {
    expect(await failed(await serve({ ca: undefined }))).toMatch(/unable to|self.signed|verify/);
  });

  it('because the directory is not https asks nothing', async () => {
    expect(await failed(await serve({ directoryUrl: 'http://localhost:1/' }))).toContain(
      'expected an https URL',
    );
  });
});

it('ends while it waits for the authority', async () => {
  acme.slowness = 1_000;
  const certificate = await serve();
  await until(() => acme.posted.some((one) => one.startsWith('/challenge/')));
  await certificate.close();
  expect(clock.timers).toBe(0);
});
