import type { Clause, KeyMatch, KeyName } from './clause.ts';

/** Clauses by what they ask of one key; one with several values stands several times. */
export interface Division {
  readonly exact: ReadonlyMap<string, Clause[]>;
  /** By the literal beginning of a value. */
  readonly below: ReadonlyMap<string, Bucket>;
  /** Those that ask nothing of it. */
  readonly any: readonly Clause[];
}

export interface Bucket {
  /** Whatever comes behind. */
  readonly open: Clause[];
  /** By regex. */
  readonly globs: Map<string, Glob>;
}

export interface Glob {
  readonly parts: readonly string[];
  readonly clauses: Clause[];
}

export function divideClauses(clauses: readonly Clause[], key: KeyName): Division {
  const exact = new Map<string, Clause[]>();
  const below = new Map<string, Bucket>();
  for (const clause of clauses)
    for (const match of clause[key] ?? [])
      if (match.kind === 'exact') addAt(exact, match.text, clause);
      else addTo(bucketAt(below, match.text), match, clause);
  return { exact, below, any: clauses.filter((clause) => clause[key] === undefined) };
}

/** About how many clauses are left when a value of the key is known; undefined: it says nothing. */
export function loadOf(clauses: readonly Clause[], key: KeyName): number | undefined {
  const exact = new Map<string, number>();
  const below = new Map<string, number>();
  let most = 0;
  let any = 0;
  for (const clause of clauses) {
    const matches = clause[key];
    if (matches === undefined) any++;
    else
      for (const { kind, text } of matches) {
        const counts = kind === 'exact' ? exact : below;
        const count = (counts.get(text) ?? 0) + 1;
        counts.set(text, count);
        if (count > most) most = count;
      }
  }
  return any === clauses.length ? undefined : any + most;
}

function addTo(bucket: Bucket, match: KeyMatch, clause: Clause): void {
  if (match.kind !== 'glob') {
    bucket.open.push(clause);
    return;
  }
  const { parts } = match;
  const regex = parts.join('');
  const glob = bucket.globs.get(regex) ?? { parts, clauses: [] };
  bucket.globs.set(regex, glob);
  glob.clauses.push(clause);
}

function bucketAt(below: Map<string, Bucket>, text: string): Bucket {
  const known = below.get(text);
  if (known !== undefined) return known;
  const bucket = { open: [], globs: new Map<string, Glob>() };
  below.set(text, bucket);
  return bucket;
}

function addAt(lists: Map<string, Clause[]>, text: string, clause: Clause): void {
  const list = lists.get(text);
  if (list === undefined) lists.set(text, [clause]);
  else list.push(clause);
}
