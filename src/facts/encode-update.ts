import {
  buildRevocationMessage,
  bundleItem,
  policiesItem,
  policyFileItem,
  termsItem,
} from '../sync/index.ts';
import { messageType } from '../wire/index.ts';
import { type FactKey, type FactKind, type FactSections, idOf, kindOf } from './fact-sections.ts';

/** A step from one state to the next, or a whole state. */
export interface FactsUpdate {
  readonly revision: number;
  readonly isSnapshot: boolean;
  /** What is not in the sections has gone. */
  readonly keys: Iterable<FactKey>;
  readonly sections: FactSections;
}

const FILE = 'trustplane/agent/v1/facts.proto';
/** Of the items in one part; a single larger item goes alone. A part is read in some 5 ms. */
const PART_BYTES = 65_536;
/** Of a field's tag and length. */
const FIELD_BYTES = 8;
const updateType = messageType(FILE, 'trustplane.agent.v1.FactsUpdate');
const revocationType = messageType(
  'trustplane/sync/v1/sync.proto',
  'trustplane.sync.v1.Revocation',
);

/** Where the facts of a kind stand in the message. */
const fields = {
  b: { items: 'bundles', removed: 'removed_bundles' },
  t: { items: 'terms', removed: 'removed_terms' },
  r: { items: 'revocations', removed: 'removed_revocation_ids' },
  f: { items: 'policy_files', removed: 'removed_policy_files' },
  p: { items: 'policies', removed: 'removed_policies' },
} as const satisfies Record<FactKind, unknown>;

/** The encoded parts of an update, one after the other, at least one; each is made when it is asked for. */
export function* encodeUpdate(
  update: FactsUpdate,
  maxBytes: number = PART_BYTES,
): Generator<Uint8Array, void> {
  let content = new PartContent();
  let part = 0;
  for (const key of update.keys) {
    const bytes = encodeFact(key, update.sections);
    const size = FIELD_BYTES + (bytes?.length ?? key.length);
    if (content.bytes > 0 && content.bytes + size > maxBytes) {
      yield encodePart(update, part++, false, content);
      content = new PartContent();
    }
    content.add(key, bytes, size);
  }
  yield encodePart(update, part, true, content);
}

class PartContent {
  bytes = 0;
  readonly fields: Partial<Record<string, (Uint8Array | string)[]>> = {};

  add(key: FactKey, item: Uint8Array | undefined, size: number): void {
    const { items, removed } = fields[kindOf(key)];
    const list = (this.fields[item === undefined ? removed : items] ??= []);
    list.push(item ?? idOf(key));
    this.bytes += size;
  }
}

function encodePart(
  { revision, isSnapshot }: FactsUpdate,
  part: number,
  isLast: boolean,
  content: PartContent,
): Uint8Array {
  return updateType
    .encode({
      revision,
      part,
      is_snapshot: isSnapshot,
      is_last: isLast,
      ...content.fields,
    })
    .finish();
}

/** Undefined: there is none by that ID. */
function encodeFact(key: FactKey, { b, t, r, f, p }: FactSections): Uint8Array | undefined {
  const id = idOf(key);
  const kind = kindOf(key);
  if (kind === 'b') return mapped(b.get(id), (bundle) => bundleItem(bundle).bytes);
  if (kind === 't') return mapped(t.get(id), (terms) => termsItem(id, terms).bytes);
  if (kind === 'f') return mapped(f.get(id), (file) => policyFileItem(file).bytes);
  if (kind === 'p') return mapped(p.get(id), (head) => policiesItem(head).bytes);
  return mapped(r.get(id), (revocation) =>
    revocationType.encode(revocationType.fromObject(buildRevocationMessage(revocation))).finish(),
  );
}

function mapped<T, U>(value: T | undefined, map: (value: T) => U): U | undefined {
  return value === undefined ? undefined : map(value);
}
