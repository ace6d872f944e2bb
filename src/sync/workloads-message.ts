import { TrustplaneError, type WorkloadGroup } from '../spiffe/index.ts';

/** trustplane.sync.v1.Workloads */
export interface WireWorkloads {
  readonly groups?: readonly { readonly workloads?: number; readonly selectors?: Uint8Array }[];
  readonly is_partial?: boolean;
}

interface Workloads {
  readonly groups: readonly WorkloadGroup[];
  readonly isPartial: boolean;
}

/** What an agent tells of; what is beyond is left out, and said to be. */
const limits = { groups: 1_000, selectors: 256, digests: 20_000 } as const;
const DIGEST_BYTES = 8;
const CODE = 'ERR_SYNC_REQUEST';

export function buildWorkloads({ groups, isPartial }: Workloads): WireWorkloads {
  const told: { workloads: number; selectors: Buffer }[] = [];
  let digests = 0;
  for (const { workloads, selectors } of groups) {
    digests += selectors.size;
    if (told.length === limits.groups || digests > limits.digests) break;
    if (selectors.size <= limits.selectors)
      told.push({ workloads, selectors: Buffer.from([...selectors].join(''), 'hex') });
  }
  return { groups: told, is_partial: isPartial || told.length < groups.length };
}

/** @throws TrustplaneError ERR_SYNC_REQUEST */
export function parseWorkloads({ groups = [], is_partial = false }: WireWorkloads): Workloads {
  if (groups.length > limits.groups) throw tooMany('groups', limits.groups, groups.length);
  let digests = 0;
  const parsed = groups.map(({ workloads = 0, selectors = new Uint8Array() }): WorkloadGroup => {
    const count = selectors.length / DIGEST_BYTES;
    if (!Number.isInteger(count) || count > limits.selectors)
      throw tooMany(`bytes of selectors, ${DIGEST_BYTES} each`, limits.selectors, count);
    digests += count;
    if (digests > limits.digests) throw tooMany('selectors in all', limits.digests, digests);
    return { workloads, selectors: new Set(digestsIn(selectors)) };
  });
  return { groups: parsed, isPartial: is_partial };
}

function digestsIn(bytes: Uint8Array): readonly string[] {
  return Buffer.from(bytes).toString('hex').match(/.{16}/gu) ?? [];
}

function tooMany(what: string, most: number, got: number): TrustplaneError {
  return new TrustplaneError(CODE, `workloads: expected at most ${most} ${what}; got ${got}`);
}
