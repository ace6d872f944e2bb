import { mkdirSync, symlinkSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { launchDomainNats, NatsDomain, natsIdOf, pemOf } from '../../test/fakes/nats-domain.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { spawnTied } from '../../test/programs/tied-child.ts';
import type { X509Context, X509WatchEvent } from '../client/index.ts';
import { connectNats, type NatsIdentity } from '../nats/index.ts';
import { createMetrics, type Log, silentLog, systemClock } from '../ops/index.ts';
import { parseX509Svid, TrustplaneError } from '../spiffe/index.ts';
import { followNats } from './nats-follow.ts';

let a: NatsDomain;
let b: NatsDomain;
beforeAll(async () => {
  a = await NatsDomain.create('a.test');
  b = await NatsDomain.create('b.test');
});

/** What the Workload API says of these identities and domains. */
function context(
  identities: readonly NatsIdentity[],
  domains: readonly NatsDomain[],
): X509WatchEvent {
  const svids: X509Context['svids'] = identities.map((identity) => ({
    ...identity,
    svid: parseX509Svid(identity.certificateChain),
    hint: '',
  }));
  const bundles = new Map(domains.map(({ bundle }) => [bundle.trustDomain.name, bundle]));
  return { type: 'update', context: { svids, bundles } };
}

/** A Workload API whose events a test sends; each resolves once it was taken. */
class FakeApi {
  readonly #events: { readonly event: X509WatchEvent; readonly taken: () => void }[] = [];
  #wake: () => void = () => {};

  async send(event: X509WatchEvent): Promise<void> {
    await new Promise<void>((taken) => {
      this.#events.push({ event, taken });
      this.#wake();
    });
  }

  async *watchX509(signal: AbortSignal): AsyncGenerator<X509WatchEvent> {
    signal.addEventListener('abort', () => this.#wake());
    while (!signal.aborted) {
      const next = this.#events.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      yield next.event;
      next.taken();
    }
  }
}

interface Following {
  readonly api: FakeApi;
  readonly lines: string[];
  readonly clock: FakeClock;
  readonly stop: () => Promise<void>;
}

function follow(folder: string, pidFile?: string): Following {
  const api = new FakeApi();
  const lines: string[] = [];
  const clock = new FakeClock();
  const stopping = new AbortController();
  const write = (fields: object, message: string): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { ...silentLog, info: write, warn: write, error: write };
  const following = followNats({
    client: api,
    folder,
    pidFile,
    spiffeId: undefined,
    clock,
    log,
    signal: stopping.signal,
    onCurrent: () => {},
  });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await following;
  };
  onTestFinished(stop);
  return { api, lines, clock, stop };
}

function folder(): string {
  const run = createRunFolder();
  onTestFinished(() => run.remove());
  return run.path;
}

it('writes certificates, key and authorities, whole and with the right modes', async () => {
  const place = folder();
  const { api } = follow(place);
  const identity = await a.issue('/nats');
  await api.send(context([identity], [b, a]));
  expect(await readFile(path.join(place, 'svid.pem'), 'utf8')).toBe(pemOf(identity));
  expect(await readFile(path.join(place, 'bundle.pem'), 'utf8')).toBe(`${a.pem}${b.pem}`);
  expect(await readFile(path.join(place, 'own-bundle.pem'), 'utf8')).toBe(a.pem);
  const modes = await Promise.all(
    ['svid.pem', 'bundle.pem', 'own-bundle.pem'].map(async (name) =>
      ((await stat(path.join(place, name))).mode & 0o777).toString(8),
    ),
  );
  expect(modes).toEqual(['600', '644', '644']);
});

it('has a nats-server load what has changed, and nothing when nothing has', async () => {
  await using server = await launchDomainNats(a);
  const { api, lines } = follow(server.folder, path.join(server.folder, 'nats-server.pid'));
  const foreign = await b.issue('/web');
  const dial = () =>
    connectNats(
      {
        servers: [server.url],
        purpose: 'test',
        name: 'here',
        tls: {
          identity: () => foreign,
          server: { serverId: natsIdOf(a), bundle: () => a.bundle },
        },
        clock: systemClock,
        log: silentLog,
        metrics: createMetrics(),
      },
      1_000,
    );
  await expect(dial()).rejects.toMatchObject({ code: 'ERR_NATS_UNREACHABLE' });
  const identity = await a.issue('/nats', ['localhost']);
  await api.send(context([identity], [a, b]));
  await server.line(/Reloaded server configuration/);
  const link = await dial();
  await link.close();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`"pid":${server.current().pid}`);
  await api.send(context([identity], [a, b]));
  expect(lines).toHaveLength(1);
  // A domain that is federated no more may not come in again.
  await api.send(context([identity], [a]));
  await eventually('it has loaded that, too', () => {
    const loaded = server.current().lines.filter((line) => line.includes('Reloaded server'));
    return loaded.length === 2 ? true : undefined;
  });
  await expect(dial()).rejects.toMatchObject({ code: 'ERR_NATS_UNREACHABLE' });
});

it('sends nothing to another program whose number stands in the file', async () => {
  const place = folder();
  const other = spawnTied('sleep', ['60']);
  onTestFinished(async () => void (await other.stop()));
  await writeFile(path.join(place, 'pid'), `${other.pid}\n`);
  const { api, lines } = follow(place, path.join(place, 'pid'));
  await api.send(context([await a.issue('/nats')], [a]));
  expect(lines).toEqual([expect.not.stringContaining('"pid"')]);
  process.kill(other.pid, 0);
});

it('keeps what there is while the Workload API is silent or refuses', async () => {
  const place = folder();
  const { api, lines } = follow(place);
  const identity = await a.issue('/nats');
  await api.send(context([identity], [a]));
  const error = new TrustplaneError('ERR_WORKLOAD_NO_IDENTITY', 'no entry');
  await api.send({ type: 'denied', error, retryInMs: 1 });
  await api.send({ type: 'interrupted', error, retryInMs: 1 });
  expect(await readFile(path.join(place, 'svid.pem'), 'utf8')).toBe(pemOf(identity));
  expect(lines.slice(1)).toEqual([
    'the Workload API: denied {"reason":"no entry"}',
    'the Workload API: interrupted {"reason":"no entry"}',
  ]);
});

it('tries again what could not be written', async () => {
  const place = path.join(folder(), 'gone');
  const { api, lines, clock } = follow(place);
  const identity = await a.issue('/nats');
  const sent = api.send(context([identity], [a]));
  while (clock.timers === 0) await clock.advanceAsync(0);
  expect(lines).toEqual([expect.stringContaining('are not up to date')]);
  mkdirSync(place);
  await clock.advanceAsync(5_000);
  await sent;
  expect(await readFile(path.join(place, 'svid.pem'), 'utf8')).toBe(pemOf(identity));
});

it('replaces a link with a file, and does not write where it leads', async () => {
  const place = folder();
  const target = path.join(place, 'target');
  await writeFile(target, 'untouched');
  symlinkSync(target, path.join(place, 'svid.pem'));
  const { api } = follow(place);
  await api.send(context([await a.issue('/nats')], [a]));
  expect(await readFile(target, 'utf8')).toBe('untouched');
  await rm(target);
  expect(await readFile(path.join(place, 'svid.pem'), 'utf8')).toContain('PRIVATE KEY');
});
