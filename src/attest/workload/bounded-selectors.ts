import { parseSelector, type Selector, TrustplaneError } from '../../spiffe/index.ts';

/** More of one kind are of nobody who made them on purpose; each agent and server compares them all. */
const MAX_SELECTORS = 1_000;

/**
 * Selectors out of what somebody else wrote: labels, names, images. One that no entry could ask for,
 * longer than 4096 bytes or with control characters, is left out.
 * @throws TrustplaneError ERR_ATTEST_ANSWER when there are over 1,000
 */
export function boundedSelectors(
  type: string,
  values: readonly string[],
  subject: string,
): readonly Selector[] {
  if (values.length > MAX_SELECTORS) {
    throw new TrustplaneError(
      'ERR_ATTEST_ANSWER',
      `${subject} would have ${values.length} selectors of type ${type}; at most ${MAX_SELECTORS} are allowed, so it has none`,
    );
  }
  return values.flatMap((value) => {
    try {
      return [parseSelector(`${type}:${value}`)];
    } catch {
      return [];
    }
  });
}
