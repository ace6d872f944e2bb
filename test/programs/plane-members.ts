import { setTimeout as delay } from 'node:timers/promises';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import type { ServerMember } from './launch-control-plane.ts';
import type { SeededRandom } from './seeded-random.ts';

/** What a server that is being broken may say; anything else is a defect. */
const passing: readonly string[] = ['ERR_UNREACHABLE', 'ERR_STORE_UNAVAILABLE', 'ERR_REMOTE'];
const AGAIN_MS = 100;

/** Which servers a load goes to. */
export class LiveServers {
  readonly #servers: readonly ServerMember[];
  readonly #random: SeededRandom;
  #avoided: string | undefined;

  constructor(servers: readonly ServerMember[], random: SeededRandom) {
    this.#servers = servers;
    this.#random = random;
  }

  /** From now on; undefined: all are well. */
  avoid(name: string | undefined): void {
    this.#avoided = name;
  }

  pick(): ServerMember {
    const live = this.#servers.filter(({ name }) => name !== this.#avoided);
    const picked = live[this.#random(live.length)];
    if (picked === undefined) throw new Error('no server lives');
    return picked;
  }
}

/** Whether it may be that the store or the server was just being broken. */
export function isPassing(error: unknown): boolean {
  return error instanceof TrustplaneError && passing.includes(error.code);
}

/** Does it until it does not fail for something that passes; every try is told what came of the one before. */
export async function untilDone<T>(
  what: string,
  work: () => Promise<T>,
  timeoutMs: number = 120_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error)) throw new Error(what, { cause: error });
      if (Date.now() > deadline) throw new Error(`${what}: in vain`, { cause: error });
    }
    await delay(AGAIN_MS);
  }
}
