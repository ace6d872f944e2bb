import { randomBytes } from 'node:crypto';
import type { Client } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AuthzGround, isAllowed } from '../../test/fakes/authz-ground.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { type AssertionKey, openAssertionKeys } from '../check/index.ts';
import { silentLog, systemClock } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { buildAuthz } from './authz-config.ts';
import { AuthzThread, type AuthzThreadOptions } from './authz-thread.ts';

let ground: AuthzGround;
beforeEach(async () => {
  ground = await AuthzGround.open();
});
afterEach(async () => await ground.close());

interface Begun {
  readonly thread: AuthzThread;
  /** How it ended: by itself, or not even so. */
  readonly ending: Promise<readonly ['ended' | 'stuck', string]>;
  /** Gives it what it does not expect. */
  readonly spoil: () => void;
}

async function begin(more: Partial<AuthzThreadOptions> = {}): Promise<Begun> {
  const { promise, resolve } = Promise.withResolvers<readonly ['ended' | 'stuck', string]>();
  const { socket, folder } = ground;
  const config = buildAuthz({ socket, policies: folder, assertion: {} });
  if (config === undefined) throw new Error('there is no configuration');
  const options = { file: undefined, clock: systemClock, log: silentLog, randomBytes };
  const keys = await openAssertionKeys(options);
  let tell = (_key: AssertionKey): void => {};
  const thread = new AuthzThread({
    config,
    process: ground.process,
    trustDomain: TrustDomain.parse('prod.example'),
    agentSocket: `${folder}/agent.sock`,
    facts: ground.feed,
    policies: ground.policies(),
    assertionKeys: {
      current: () => keys.current(),
      watch: (told) => {
        tell = told;
        return () => {};
      },
    },
    onChange: () => {},
    onEnd: ({ message }) => resolve(['ended', message]),
    onStuck: ({ message }) => resolve(['stuck', message]),
    ...more,
  });
  onTestFinished(async () => {
    await thread.close(0);
    await keys.close();
  });
  await thread.listening();
  const spoil = (): void => tell({ keyId: 'none', privateKey: new Uint8Array(1) });
  return { thread, ending: promise, spoil };
}

/** Has so many calls under way until one fails, and counts the answers. */
function askAlways(client: Client, request: Buffer, calls: number): () => number {
  onTestFinished(() => client.close());
  let answers = 0;
  const ask = async (): Promise<void> => {
    for (;;) {
      await isAllowed(client, request);
      answers += 1;
    }
  };
  for (let call = 0; call < calls; call++) void ask().catch(() => {});
  return () => answers;
}

describe('a thread that fails', () => {
  it('says why, and ends in order while it is asked', async () => {
    const { thread, ending, spoil } = await begin();
    const request = await ground.request();
    const answers = [1, 2, 3].map(() => askAlways(ground.dialUnix(), request, 50));
    await eventually('answers', async () => answers.every((count) => count() > 100) || undefined);
    spoil();
    expect(await ending).toEqual(['ended', expect.stringContaining('expected a P-256 key')]);
    expect(thread).toMatchObject({ inForce: undefined, isWarm: false });
  });

  it('is asked to end when it answers nothing, and left alone when it does not', async () => {
    const clock = new FakeClock(Date.now());
    const { log, logLevel } = ground.process;
    const healthy = await begin({ process: { log, logLevel, clock } });
    // It has no time to answer.
    clock.advance(11_000);
    expect(await healthy.ending).toEqual(['ended', expect.stringContaining('answers nothing')]);
    const hung = await begin({ process: { log, logLevel, clock } });
    clock.advance(16_000);
    expect(await hung.ending).toEqual(['stuck', expect.stringContaining('answers nothing')]);
  });
});
