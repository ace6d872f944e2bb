import { createHash } from 'node:crypto';

/** A file of policies, byte for byte as its author wrote it. Immutable. */
export interface PolicyFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Of the bytes, lower-case hex. */
  readonly sha256: string;
}

/** All policies of a trust domain as the control plane keeps them, in one version. Immutable. */
export interface PolicyTexts {
  /** Rises by one. */
  readonly version: number;
  /** Of the version and all before it, SHA-256 in lower-case hex. */
  readonly hash: string;
  /** Names what the policies say, whatever the files look like; see canonicalText. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** In order of their names. */
  readonly files: readonly PolicyFile[];
}

/** Who has policies of the control plane in force, as it says itself. */
export interface PolicyTaker {
  /** Such as `agent`, or the name of a server for authorization beside it. */
  readonly name: string;
  /** The version in force, by its hash; undefined: none. */
  readonly hash: string | undefined;
  /** Of the policies in force. */
  readonly digest: string | undefined;
  /** Since when, milliseconds since the epoch. */
  readonly since: number | undefined;
  /** Why the latest version is not in force; undefined when it is, or is on its way. */
  readonly fault: string | undefined;
  /** The version, by its hash, that the fault is of. */
  readonly refused: string | undefined;
}

/** What a set may hold, wherever it is. */
export const policyTextLimits = {
  files: 4_096,
  nameBytes: 128,
  /** A file goes into one record of a store, sealed in an agent's cache as well. */
  fileBytes: 960_000,
  /** Of all files. */
  bytes: 33_554_432,
} as const;

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]*\.ya?ml$/u;

/** True for what may be the name of a policy file: `x.yaml` or `x.yml` of A-Z, a-z, 0-9, ".", "_", "-". */
export function isPolicyFileName(name: string): boolean {
  return name.length <= policyTextLimits.nameBytes && NAME.test(name);
}

export function policyFile(name: string, bytes: Uint8Array): PolicyFile {
  return { name, bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}
