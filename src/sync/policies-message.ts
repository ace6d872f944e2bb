import {
  isPolicyFileName,
  type PolicyFile,
  type PolicyTexts,
  policyTextLimits,
  quote,
  TrustplaneError,
} from '../spiffe/index.ts';
import { parseDigest } from './position.ts';
import { parseCount } from './wire-values.ts';

/** A version of the policies without what is in its files. */
export interface PolicyHead extends Omit<PolicyTexts, 'files'> {
  readonly files: readonly Omit<PolicyFile, 'bytes'>[];
}

/** trustplane.sync.v1.Policies */
export interface WirePolicies {
  readonly version?: string;
  readonly hash?: Uint8Array;
  readonly digest?: Uint8Array;
  readonly created_at?: string;
  readonly files?: readonly { readonly name?: string; readonly sha256?: Uint8Array }[];
}

const CODE = 'ERR_SYNC_POLICIES';

export function buildPoliciesMessage(head: PolicyHead): WirePolicies {
  return {
    version: String(head.version),
    hash: Buffer.from(head.hash, 'hex'),
    digest: Buffer.from(head.digest, 'hex'),
    created_at: String(head.createdAt),
    files: head.files.map(({ name, sha256 }) => ({ name, sha256: Buffer.from(sha256, 'hex') })),
  };
}

/** @throws TrustplaneError ERR_SYNC_POLICIES */
export function parsePoliciesMessage(message: WirePolicies): PolicyHead {
  const { version, hash, digest, created_at, files = [] } = message;
  if (files.length > policyTextLimits.files) {
    throw fault('files', `at most ${policyTextLimits.files}`, `${files.length}`);
  }
  const read = files.map(({ name = '', sha256 }, index) => {
    const before = files[index - 1]?.name;
    if (!isPolicyFileName(name)) throw fault('name', 'a name as in x.yaml', quote(name));
    if (before !== undefined && before >= name) throw fault('name', 'files in order', quote(name));
    return { name, sha256: parseDigest(sha256, CODE) };
  });
  return {
    version: parseCount(version, 'version', CODE),
    hash: parseDigest(hash, CODE),
    digest: parseDigest(digest, CODE),
    createdAt: parseCount(created_at, 'created_at', CODE),
    files: read,
  };
}

/** The version with its files; undefined when one of them is not there, or all are more than a set may have. */
export function joinPolicies(
  head: PolicyHead,
  fileOf: (sha256: string) => Uint8Array | undefined,
): PolicyTexts | undefined {
  const files: PolicyFile[] = [];
  let total = 0;
  for (const { name, sha256 } of head.files) {
    const bytes = fileOf(sha256);
    total += bytes?.length ?? 0;
    if (bytes === undefined || total > policyTextLimits.bytes) return undefined;
    files.push({ name, sha256, bytes });
  }
  return { ...head, files };
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(CODE, `the ${field} of policies: expected ${expected}; got ${got}`);
}
