import { afterAll, beforeAll, expect, it } from 'vitest';
import { areJoined } from '../programs/launch-domains.ts';
import {
  type Federation,
  launchFederation,
  startCrossTraffic,
} from '../programs/launch-federation.ts';
import { timeRoot } from '../programs/time-root.ts';

let federation: Federation;

beforeAll(async () => {
  federation = await launchFederation({ refreshHint: '2s' });
});

afterAll(async () => await federation[Symbol.asyncDispose]());

/** Requests flow both ways while this is done; none fails. */
async function underTraffic(work: () => Promise<void>): Promise<void> {
  const traffic = startCrossTraffic(federation);
  try {
    await work();
  } finally {
    await traffic.stop();
  }
  for (const { ok, failures } of Object.values(traffic.counts())) {
    expect(failures).toEqual([]);
    expect(ok).toBeGreaterThan(0);
  }
}

/** Prepares a root in a.test; resolves when it is trusted by the Envoy of the server in b.test. */
async function prepareRoot(): Promise<void> {
  const { a, fromA } = federation;
  await timeRoot(a.authorities, async () => await fromA.server.authorities('a.test'));
}

it('without NATS a root arrives at the Envoys of another trust domain by polling, and nothing else is affected (FED-17)', async () => {
  const { a, b } = federation;
  await underTraffic(async () => {
    await Promise.all([a.nats.kill(), b.nats.kill()]);
    await prepareRoot();
  });
  const shown = await b.server.ask('federation', 'show', 'a.test');
  expect(shown).toMatchObject({ trustDomain: 'a.test', hasBundle: true, lastError: null });
});

it('without the servers of a trust domain a root of another arrives at its agents over NATS, and in its Envoys (FED-21)', async () => {
  const { a, b } = federation;
  await underTraffic(async () => {
    expect(await b.server.stop()).toBe(0);
    for (const { nats } of [a, b]) await nats.start();
    // What is published while they are apart waits for its publisher to sign it again.
    await areJoined(a, b);
    await prepareRoot();
  });
});
