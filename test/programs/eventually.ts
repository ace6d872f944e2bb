import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks again and again until there is an answer, for programs that announce nothing (Envoy's admin
 * interface). Throws, naming `what` and the last failure, when `timeoutMs` (default 15,000) is over.
 */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  options: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const { timeoutMs = 15_000, everyMs = 20 } = options;
  const deadline = Date.now() + timeoutMs;
  let failure: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await delay(everyMs);
  } while (Date.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms in vain: ${what}`, { cause: failure });
}
