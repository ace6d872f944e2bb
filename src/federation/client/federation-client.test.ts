import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  answerWith,
  BundleEndpoint,
  ForeignDomain,
  openBlackHole,
  WebAuthority,
} from '../../../test/fakes/bundle-endpoint.ts';
import { codeOf } from '../../../test/fakes/code-of.ts';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { openFederation } from '../../../test/fakes/open-federation.ts';
import { until } from '../../../test/fakes/unix-place.ts';
import { type Log, silentLog } from '../../ops/index.ts';
import {
  type Bundle,
  type ErrorCode,
  emptyBundle,
  SpiffeId,
  TrustDomain,
} from '../../spiffe/index.ts';
import { endRelationship } from '../end-relationship.ts';
import { type FederationRelationship, plainTerms } from '../relationship.ts';
import { FederationClient, type FederationClientOptions } from './federation-client.ts';

const MINUTE = 60_000;
const bName = TrustDomain.parse('b.test');
const own = emptyBundle(TrustDomain.parse('a.test'));
const coded = (code: ErrorCode) => expect.objectContaining({ code });

let b: ForeignDomain;
let c: ForeignDomain;
let web: WebAuthority;
beforeAll(async () => {
  b = await ForeignDomain.create('b.test');
  c = await ForeignDomain.create('c.test');
  web = await WebAuthority.create();
});

const serve = async (document: Bundle | string = b.bundle({ sequenceNumber: 1n }), by = b) =>
  await BundleEndpoint.open(await by.svid(), answerWith(document));

const relation = (
  url: string,
  trustDomain = 'b.test',
  by = trustDomain,
): FederationRelationship => ({
  ...plainTerms,
  trustDomain: TrustDomain.parse(trustDomain),
  bundleEndpointUrl: url,
  profile: {
    type: 'https_spiffe',
    endpointSpiffeId: SpiffeId.parse(`spiffe://${by}/spire/server`),
  },
});

type Ground = Awaited<ReturnType<typeof openFederation>>;

/** Registries and a client over them; every tenth of jitter is zero. */
async function start(
  options: Partial<FederationClientOptions> = {},
  before: (ground: Ground) => Promise<unknown> = async () => {},
  place: Parameters<typeof openFederation>[0] = {},
) {
  const ground = await openFederation({ clock: new FakeClock(Date.now()), ...place });
  await before(ground);
  const { relationships, bundles: foreignBundles, clock, metrics } = ground;
  const client = new FederationClient({
    relationships,
    foreignBundles,
    trust: { current: () => ({ own, federated: foreignBundles.current(), terms: new Map() }) },
    clock,
    random: (bytes) => Buffer.alloc(bytes),
    log: silentLog,
    metrics,
    ...options,
  });
  onTestFinished(() => client.close());
  const attempted = async (at: number) =>
    await until(() => (client.status(bName)?.nextAttemptAt ?? 0) > at);
  return { ...ground, client, attempted };
}

const withBundle =
  (relationship: FederationRelationship, bundle: Bundle = b.bundle()) =>
  async ({ relationships, bundles }: Ground) => {
    await bundles.set(bundle);
    await relationships.create(relationship);
  };

/** What a log was given, by message. */
function recordingLog() {
  const lines: { level: string; message: string; fields: object }[] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields });
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return { log, lines };
}

describe('polling', () => {
  it('begins at once and goes on within the refresh hint (FED-6)', async () => {
    const hinted = b.bundle({ sequenceNumber: 1n, refreshHintSeconds: 60 });
    const endpoint = await serve(hinted);
    const { client, clock, relationships, bundles, attempted } = await start();
    await bundles.set(b.bundle());
    await relationships.create(relation(endpoint.url()));
    await attempted(clock.now());
    expect(bundles.get(bName)).toEqual(hinted);
    expect(client.status(bName)).toMatchObject({
      lastAttemptAt: clock.now(),
      lastSuccessAt: clock.now(),
      lastError: undefined,
      sequence: 1n,
      nextAttemptAt: clock.now() + MINUTE / 4,
      chain: [{ name: b.serverId }],
    });
    await clock.advanceAsync(MINUTE / 4 - 1);
    expect(endpoint.requests).toHaveLength(1);
    await clock.advanceAsync(1);
    await attempted(clock.now());
    expect(endpoint.requests).toHaveLength(2);
  });

  it('is every five minutes without a hint (BUNDLE-9)', async () => {
    const endpoint = await serve();
    const { clock, client, attempted } = await start({}, withBundle(relation(endpoint.url())));
    await attempted(clock.now());
    expect(client.status(bName)?.nextAttemptAt).toBe(clock.now() + 5 * MINUTE);
  });

  it('waits for its next turn after a failure, as often as it fails (FED-6)', async () => {
    const endpoint = await serve();
    endpoint.answer = (_, response) => response.writeHead(503).end();
    const { clock, client, attempted } = await start({}, withBundle(relation(endpoint.url())));
    for (let attempts = 1; attempts <= 4; attempts++) {
      await attempted(clock.now());
      expect(endpoint.requests).toHaveLength(attempts);
      expect(client.status(bName)?.lastError?.code).toBe('ERR_FETCH_ANSWER');
      await clock.advanceAsync(5 * MINUTE - 1);
      expect(endpoint.requests).toHaveLength(attempts);
      await clock.advanceAsync(1);
    }
  });

  it('asks a relationship anew at once that has changed, and the old one no more', async () => {
    const [old, next] = [await serve(), await serve()];
    const { clock, relationships, attempted } = await start({}, withBundle(relation(old.url())));
    await attempted(clock.now());
    await relationships.update(bName, { bundleEndpointUrl: next.url() });
    await until(() => next.requests.length === 1);
    await clock.advanceAsync(6 * MINUTE);
    expect(old.requests).toHaveLength(1);
  });

  it('is left to the server whose duty it is, but for what is asked for', async () => {
    const endpoint = await serve();
    let isMine = false;
    const listeners = new Set<() => void>();
    const duty = {
      isMine: () => isMine,
      watch: (listener: () => void) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const { clock, client, attempted } = await start(
      { duty },
      withBundle(relation(endpoint.url())),
    );
    await clock.advanceAsync(60 * MINUTE);
    expect(endpoint.requests).toEqual([]);
    expect(client.status(bName)?.nextAttemptAt).toBeUndefined();
    await client.refresh(bName);
    expect(endpoint.requests).toHaveLength(1);
    isMine = true;
    for (const listener of listeners) listener();
    await attempted(clock.now());
    expect(endpoint.requests).toHaveLength(2);
    await client.close();
    expect(listeners.size).toBe(0);
  });

  it('stops with the server, also what is under way', async () => {
    const url = await openBlackHole();
    const { clock, client } = await start({}, withBundle(relation(url)));
    const refreshed = codeOf(() => client.refresh(bName));
    await client.close();
    expect(await refreshed).toBe('ERR_FETCH_ENDED');
    await settle();
    expect(clock.timers).toBe(0);
  });
});

describe('50 peers of which 10 accept connections and never answer (F19)', () => {
  it('are fetched without waiting for those', async () => {
    const endpoint = await serve('{"keys":[]}');
    const names = Array.from({ length: 50 }, (_, i) => TrustDomain.parse(`p${i}.test`));
    const isDead = (i: number) => i % 5 === 0;
    const { client, clock } = await start({}, async ({ relationships, bundles }) => {
      await bundles.set(b.bundle());
      for (const [i, { name }] of names.entries()) {
        const url = isDead(i) ? await openBlackHole() : endpoint.url();
        await relationships.create(relation(url, name, 'b.test'));
      }
    });
    const at = clock.now();
    await until(() => client.statuses().filter((one) => one.lastSuccessAt === at).length === 40);
    expect(clock.now()).toBe(at);
    expect(client.statuses().filter(({ lastError }) => lastError !== undefined)).toEqual([]);
    clock.advance(10_000);
    await until(
      () =>
        client.statuses().filter(({ lastError }) => lastError?.code === 'ERR_FETCH_TIMEOUT')
          .length === 10,
    );
  });

  it('wait for them at most once where there are more of those than are asked at once', async () => {
    const endpoint = await serve('{"keys":[]}');
    const { client, clock } = await start(
      { lanes: { quick: 4, slow: 1 } },
      async ({ relationships, bundles }) => {
        await bundles.set(b.bundle());
        for (let i = 0; i < 10; i++)
          await relationships.create(relation(await openBlackHole(), `a${i}.test`, 'b.test'));
        await relationships.create(relation(endpoint.url(), 'z.test', 'b.test'));
      },
    );
    const z = TrustDomain.parse('z.test');
    await until(() => {
      clock.advance(1_000);
      return client.status(z)?.lastSuccessAt !== undefined;
    });
    const failed = () =>
      client.statuses().filter(({ lastError }) => lastError?.code === 'ERR_FETCH_TIMEOUT').length;
    await until(() => {
      clock.advance(1_000);
      return failed() === 10;
    });
    clock.advance((client.status(z)?.nextAttemptAt ?? 0) - clock.now());
    await until(() => client.status(z)?.lastSuccessAt === clock.now());
    expect(endpoint.requests).toHaveLength(2);
  });
});

describe('what is fetched', () => {
  it('is asked for whole only when it has changed', async () => {
    const endpoint = await serve();
    const document = b.bundle({ sequenceNumber: 1n });
    endpoint.answer = (request, response) =>
      request.headers['if-none-match'] === '"v1"'
        ? response.writeHead(304).end()
        : answerWith(document, { etag: '"v1"' })(request, response);
    const { client, bundles } = await start({}, withBundle(relation(endpoint.url())));
    await client.refresh(bName);
    expect(await client.refresh(bName)).toEqual(document);
    expect(endpoint.requests.map((headers) => headers['if-none-match'])).toEqual([
      undefined,
      '"v1"',
    ]);
    // What an operator sets holds until the next refresh (FED-8), which is then no conditional one.
    await bundles.set({ ...document, refreshHintSeconds: 7 });
    expect(await client.refresh(bName)).toEqual(document);
    expect(endpoint.requests.at(-1)).not.toHaveProperty('if-none-match');
    expect(bundles.get(bName)).toEqual(document);
  });

  it('never has a lower sequence number than before (FED-7)', async () => {
    const endpoint = await serve(b.bundle({ sequenceNumber: 9n }));
    const { log, lines } = recordingLog();
    const { client, bundles } = await start({ log }, withBundle(relation(endpoint.url())));
    await client.refresh(bName);
    endpoint.answer = answerWith(b.bundle({ sequenceNumber: 8n, refreshHintSeconds: 3 }));
    await expect(client.refresh(bName)).rejects.toEqual(coded('ERR_BUNDLE_SEQUENCE'));
    expect(bundles.get(bName)?.sequenceNumber).toBe(9n);
    expect(client.status(bName)?.lastError?.code).toBe('ERR_BUNDLE_SEQUENCE');
    expect(lines.at(-1)).toMatchObject({ level: 'warn', fields: { code: 'ERR_BUNDLE_SEQUENCE' } });
  });

  it('without sequence numbers is the newest (FED-7)', async () => {
    const endpoint = await serve(b.bundle());
    const { client, bundles } = await start({}, withBundle(relation(endpoint.url())));
    await client.refresh(bName);
    const next = b.bundle({
      x509Authorities: [...b.bundle().x509Authorities, ...c.bundle().x509Authorities],
    });
    endpoint.answer = answerWith(next);
    await client.refresh(bName);
    expect(bundles.get(bName)).toEqual(next);
  });

  it('is what the endpoint is judged by next, also after a restart (FED-17)', async () => {
    const next = await ForeignDomain.create('b.test');
    const both = b.bundle({
      sequenceNumber: 2n,
      x509Authorities: [...b.bundle().x509Authorities, ...next.bundle().x509Authorities],
    });
    const first = await serve(both);
    const { client, relationships, bundles, store, clock } = await start(
      {},
      withBundle(relation(first.url())),
    );
    await client.refresh(bName);
    const second = await serve(next.bundle({ sequenceNumber: 3n }), next);
    await relationships.update(bName, { bundleEndpointUrl: second.url() });
    await until(() => bundles.get(bName)?.sequenceNumber === 3n);
    await relationships.update(bName, { bundleEndpointUrl: first.url() });
    await expect(client.refresh(bName)).rejects.toEqual(coded('ERR_X509_UNTRUSTED'));
    await client.close();
    const again = await start({}, undefined, { store, clock });
    await until(() => again.client.status(bName)?.lastError?.code === 'ERR_X509_UNTRUSTED');
    await again.relationships.update(bName, { bundleEndpointUrl: second.url() });
    await until(() => again.client.status(bName)?.lastSuccessAt !== undefined);
  });

  it('from an endpoint of another trust domain waits for the bundle of that, and not longer (FED-17)', async () => {
    const endpoint = await serve(b.bundle(), c);
    const { client, relationships, bundles } = await start();
    await relationships.create(relation(endpoint.url(), 'b.test', 'c.test'));
    await until(() => client.status(bName)?.lastError !== undefined);
    expect(client.status(bName)?.lastError?.code).toBe('ERR_FETCH_NO_BUNDLE');
    await bundles.set(c.bundle());
    await until(() => bundles.get(bName) !== undefined);
    expect(bundles.get(bName)).toEqual(b.bundle());
  });

  it('ends with the relationship (FED-19)', async () => {
    const endpoint = await serve();
    const { client, clock, bundles, relationships, attempted } = await start(
      {},
      withBundle(relation(endpoint.url())),
    );
    await attempted(clock.now());
    await endRelationship({ relationships, foreignBundles: bundles }, bName);
    expect(bundles.get(bName)).toBeUndefined();
    expect(client.status(bName)).toBeUndefined();
    await clock.advanceAsync(60 * MINUTE);
    expect(endpoint.requests).toHaveLength(1);
    await expect(client.refresh(bName)).rejects.toEqual(coded('ERR_RELATIONSHIP_NOT_FOUND'));
  });

  it('during its end is not kept (FED-19)', async () => {
    const endpoint = await serve();
    const ground = await openFederation({ clock: new FakeClock(Date.now()) });
    const { relationships, bundles, store, clock } = ground;
    await withBundle(relation(endpoint.url()))(ground);
    const { client } = await start(
      {
        foreignBundles: {
          get: (name) => bundles.get(name),
          watch: (listener) => bundles.watch(listener),
          delete: (name) => bundles.delete(name),
          // Another server ends it just before the bundle is written here.
          async set(bundle) {
            await store.bucket('federation').delete((await stored()) ?? '');
            return await bundles.set(bundle);
          },
        },
      },
      undefined,
      { store, clock },
    );
    const stored = async () =>
      (await store.bucket('federation').list('relationship.')).records[0]?.key;
    await until(() => bundles.get(bName) === undefined);
    await until(() => client.status(bName) === undefined);
    expect(relationships.get(bName)).toBeUndefined();
    expect((await store.bucket('federation').list('bundle.')).records).toEqual([]);
  });
});

describe('each fetch', () => {
  it('leaves a trace of who answered and whom that was believed by (FED-18)', async () => {
    const endpoint = await BundleEndpoint.open(
      await web.identity('localhost'),
      answerWith(b.bundle()),
    );
    const { log, lines } = recordingLog();
    const url = endpoint.url('localhost');
    const profile = { type: 'https_web' as const };
    const { client, relationships } = await start({ log });
    await relationships.create({ ...relation(url), profile, webCa: web.pem });
    await client.refresh(bName);
    await client.refresh(bName);
    const trace = {
      trustDomain: 'b.test',
      bundleEndpointUrl: url,
      profile: 'https_web',
      servers: [{ url, address: '127.0.0.1', chain: [{ name: 'localhost' }] }],
      believedThrough: ['private-ca'],
    };
    expect(lines).toMatchObject([
      { level: 'info', message: 'bundle fetched, changed', fields: trace },
      { level: 'info', message: 'bundle fetched, unchanged', fields: trace },
    ]);
  });

  it('also one that fails, with what was presented (FED-18)', async () => {
    const endpoint = await BundleEndpoint.open(await b.svid('spiffe://b.test/other'), () => {});
    const { log, lines } = recordingLog();
    const { client } = await start({ log }, withBundle(relation(endpoint.url())));
    await expect(client.refresh(bName)).rejects.toEqual(coded('ERR_TLS_SERVER_ID'));
    expect(lines.at(-1)).toMatchObject({
      level: 'warn',
      message: 'bundle not fetched',
      fields: { servers: [{ chain: [{ name: 'spiffe://b.test/other' }] }] },
    });
    expect(client.status(bName)?.chain).toMatchObject([{ name: 'spiffe://b.test/other' }]);
  });

  it('through many trust domains is warned of (FED-18)', async () => {
    const { log, lines } = recordingLog();
    const nowhere = 'https://127.0.0.1:1/';
    const { client, relationships } = await start({ log });
    await relationships.create({ ...relation(nowhere, 'd.test'), profile: { type: 'https_web' } });
    await relationships.create(relation(nowhere, 'c.test', 'd.test'));
    expect(lines.filter(({ message }) => message.includes('long chain'))).toEqual([]);
    await relationships.create(relation(nowhere, 'b.test', 'c.test'));
    expect(lines.filter(({ message }) => message.includes('long chain'))).toMatchObject([
      { level: 'warn', fields: { trustDomains: ['b.test', 'c.test', 'd.test'], end: 'web-pki' } },
    ]);
    await client.close();
  });

  it('is counted, and how old what was fetched is', async () => {
    const endpoint = await serve();
    const { client, clock, metrics } = await start({}, withBundle(relation(endpoint.url())));
    await client.refresh(bName);
    clock.jump(clock.now() + 90_000);
    endpoint.answer = answerWith('');
    await client.refresh(bName).catch(() => {});
    const text = await metrics.render();
    expect(text).toContain('trustplane_federation_fetches_total{outcome="changed"} 1');
    expect(text).toContain('trustplane_federation_fetches_total{outcome="failed"} 1');
    expect(text).toContain('trustplane_federation_failing_endpoints_count 1');
    expect(text).toContain('trustplane_federation_bundle_age_seconds{trust_domain="b.test"} 90');
  });
});

it('takes jitter from the interval, never adds to it', async () => {
  const endpoint = await serve();
  const { client, clock, attempted } = await start(
    { random: randomBytes },
    withBundle(relation(endpoint.url())),
  );
  await attempted(clock.now());
  const wait = (client.status(bName)?.nextAttemptAt ?? 0) - clock.now();
  expect(wait).toBeGreaterThanOrEqual(4.5 * MINUTE);
  expect(wait).toBeLessThanOrEqual(5 * MINUTE);
});
