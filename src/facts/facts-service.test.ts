import { type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeFacts, startFacts } from '../../test/fakes/fake-facts.ts';
import { numberedBundle, testRevocation } from '../../test/fakes/sync-world.ts';
import { UnixPlace } from '../../test/fakes/unix-place.ts';
import { asUnprivileged, unprivilegedUid } from '../../test/fakes/unprivileged.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { loadService, type UnixServer } from '../wire/index.ts';
import { FactsClient } from './facts-client.ts';
import { FactsFeed } from './facts-feed.ts';
import { buildReport, type FactsReport } from './facts-report.ts';
import { createFactsService, type FactsReaders } from './facts-service.ts';
import { FactsView } from './facts-view.ts';

const definition = loadService('trustplane/agent/v1/facts.proto', 'trustplane.agent.v1.Facts');

const report: FactsReport = {
  name: '/run/authz.sock',
  version: '1.2.3',
  digest: 'aa'.repeat(32),
  hash: undefined,
  since: 1_000,
  fault: 'p.yaml:1:1: no; p.yaml:2:1: no',
  refused: 'bb'.repeat(32),
};

function openPlace() {
  const place = new UnixPlace();
  onTestFinished(async () => await place.close());
  const source = new FakeFacts(startFacts);
  const feed = new FactsFeed({ source, clock: new FakeClock() });
  place.defer(() => feed.close());
  const reports: (readonly FactsReport[])[] = [];
  const serve = async (readers: FactsReaders = { uids: [], gids: [] }): Promise<UnixServer> => {
    const options = { feed, readers, log: silentLog, metrics: createMetrics() };
    const service = createFactsService({ ...options, onReports: (all) => reports.push(all) });
    return await place.serve({ services: [service] });
  };
  const follow = () => {
    const view = new FactsView(TrustDomain.parse('a.test'));
    const client = new FactsClient({
      socket: place.path,
      view,
      clock: systemClock,
      random: Math.random,
      log: silentLog,
      metrics: createMetrics(),
    });
    place.defer(() => client.close());
    return { view, client };
  };
  return { place, source, reports, serve, follow };
}

/** Resolves with the first answer to a Watch, or its error. */
async function watchOnce(client: Client): Promise<Buffer | ServiceError> {
  const { Watch: watch } = definition;
  const stream = client.makeServerStreamRequest(
    watch?.path ?? '',
    () => Buffer.alloc(0),
    (bytes: Buffer) => bytes,
    {},
  );
  return await new Promise((resolve) => {
    stream.once('data', (message: Buffer) => {
      resolve(message);
      stream.cancel();
    });
    stream.on('error', resolve);
  });
}

async function sendReport(client: Client): Promise<ServiceError | undefined> {
  const { Report: method } = definition;
  return await new Promise((resolve) => {
    client.makeUnaryRequest(
      method?.path ?? '',
      method?.requestSerialize ?? (() => Buffer.alloc(0)),
      (bytes) => bytes,
      buildReport(report),
      new Metadata(),
      (error) => resolve(error ?? undefined),
    );
  });
}

describe('facts over the socket of an agent', () => {
  it('arrive, and change as they change', async () => {
    const { source, serve, follow } = openPlace();
    await serve();
    const { view, client } = follow();
    await vi.waitUntil(() => view.isComplete);
    expect(client.fault).toBeUndefined();
    source.set({ revocations: [testRevocation('r1')] });
    await vi.waitUntil(() => view.current()?.revocations.length === 1);
    expect(client.ageMs).toBeGreaterThanOrEqual(0);
  });

  it('stay while the agent is away, and follow it when it is back', async () => {
    const { source, serve, follow } = openPlace();
    const server = await serve();
    const { view, client } = follow();
    await vi.waitUntil(() => view.isComplete);
    const before = view.current();
    await server.close(0);
    await vi.waitUntil(() => client.fault !== undefined);
    expect(view.current()).toBe(before);
    source.set({ trust: { ...startFacts.trust, own: numberedBundle('a.test', 2) } });
    await serve();
    await vi.waitUntil(() => view.trust().own.sequenceNumber === 2n);
    expect(client.fault).toBeUndefined();
  });

  it('are refused to a user that is not named, by its number', async () => {
    const { place, serve } = openPlace();
    await serve();
    await asUnprivileged(async () => {
      const refused = await watchOnce(place.dial());
      expect(refused).toMatchObject({ code: 7 });
      expect(String(refused)).toContain(`is of user ${unprivilegedUid}`);
      expect(await sendReport(place.dial())).toMatchObject({ code: 7 });
    });
  });

  it('are told to a user that is named, and to a group', async () => {
    const { place, serve } = openPlace();
    const server = await serve({ uids: [unprivilegedUid], gids: [] });
    await asUnprivileged(async () => {
      expect(await watchOnce(place.dial())).toBeInstanceOf(Buffer);
    });
    await server.close(0);
    await serve({ uids: [], gids: [process.getegid?.() ?? 0] });
    await asUnprivileged(async () => {
      expect(await watchOnce(place.dial())).toBeInstanceOf(Buffer);
    });
  });

  it('know who reads them, and what is in force there', async () => {
    const { serve, follow, reports } = openPlace();
    await serve();
    const { view, client } = follow();
    client.report(report);
    await vi.waitUntil(() => reports.length > 0);
    expect(view.isComplete).toBe(true);
    expect(reports).toEqual([[report]]);
    client.close();
    await vi.waitUntil(() => reports.length > 1);
    expect(reports.at(-1)).toEqual([]);
  });

  it('refuse a report of a process that reads nothing', async () => {
    const { place, serve } = openPlace();
    await serve();
    const refused = await sendReport(place.dial());
    expect(refused).toMatchObject({ code: 3 });
    expect(String(refused)).toContain('open Watch');
  });
});
