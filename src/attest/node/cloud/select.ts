import type { Log } from '../../../ops/index.ts';
import { parseSelector, type Selector } from '../../../spiffe/index.ts';

const MAX_SELECTORS = 512;

/** Selectors of these values, sorted and each once; what makes none is left out, and the log says how many. */
export function selectorsOf(
  attestor: string,
  values: readonly string[],
  log: Log,
): readonly Selector[] {
  const texts = new Set<string>();
  let leftOut = 0;
  for (const value of values) {
    const text = `${attestor}:${value}`;
    if (texts.size < MAX_SELECTORS && isSelector(text)) texts.add(text);
    else leftOut++;
  }
  if (leftOut > 0) log.warn({ attestor, leftOut }, 'facts about a node make no selectors');
  return [...texts].sort().map(parseSelector);
}

function isSelector(text: string): boolean {
  try {
    parseSelector(text);
    return true;
  } catch {
    return false;
  }
}
