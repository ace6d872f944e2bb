import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createAdminClient } from '../../src/client/index.ts';
import type { Caller, Callers, Line } from './callers.ts';
import { order, reads, report } from './checks.ts';
import type { Place } from './launch.ts';

/** Milliseconds until each of the Envoys obeyed; Infinity: it did not. */
export type Times = readonly number[];

/** How long a change may take to be obeyed before it counts as ignored. */
const PATIENCE_MS = 10_000;
const narrow = 'allow: [GET /items/**]';
const wide = 'allow: [GET /items/**, POST /orders]';

/** Lets the web order, or not: one word in one file. */
export function saveRule({ policies }: Pick<Place, 'policies'>, mayOrder: boolean): void {
  const [from, to] = mayOrder ? [narrow, wide] : [wide, narrow];
  edit(path.join(policies, 'shop.yaml'), from, to);
}

/** Resolves when both have obeyed `saveRule`, counted from `begin`. */
export async function ruleObeyed(
  callers: readonly Callers[],
  mayOrder: boolean,
  begin: number,
): Promise<Times> {
  return await obeyed(callers, ({ web }) => web, order, mayOrder ? '200' : '403', begin);
}

/** From the saved file to the first request that each Envoy decides by it. */
export async function editRule(
  place: Place,
  callers: readonly Callers[],
  mayOrder: boolean,
): Promise<Times> {
  const begin = performance.now();
  saveRule(place, mayOrder);
  return await ruleObeyed(callers, mayOrder, begin);
}

/** The draft is a draft no more: likewise. */
export async function enforceDraft(
  { policies }: Place,
  callers: readonly Callers[],
): Promise<Times> {
  const begin = performance.now();
  edit(path.join(policies, 'reports.yaml'), 'stage: observe', 'stage: enforce');
  return await obeyed(callers, ({ web }) => web, report, '403', begin);
}

/** Takes the identity of the web away, whose certificate is good for an hour: likewise. */
export async function dismissWeb(
  { adminSocket, webEntry }: Place,
  callers: readonly Callers[],
): Promise<Times> {
  const client = createAdminClient(adminSocket);
  try {
    const begin = performance.now();
    const deleted = client.deleteEntries([webEntry]);
    const [times] = await Promise.all([
      obeyed(callers, ({ web }) => web, reads, '403', begin),
      deleted,
    ]);
    return times;
  } finally {
    client.close();
  }
}

/** Written beside it and renamed: nobody reads the half of a file. */
function edit(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
  writeFileSync(
    `${file}.new`,
    text.replace(from, () => to),
  );
  renameSync(`${file}.new`, file);
}

/** Asks each Envoy without a pause until the answer is that. */
async function obeyed(
  callers: readonly Callers[],
  who: (callers: Callers) => Caller,
  line: Line,
  wanted: string,
  begin: number,
): Promise<Times> {
  return await Promise.all(
    callers.map(async (one) => {
      const caller = who(one);
      while (performance.now() < begin + PATIENCE_MS)
        if ((await caller(line)) === wanted) return performance.now() - begin;
      return Infinity;
    }),
  );
}
