import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  isPolicyFileName,
  type PolicyFile,
  policyTextLimits,
  TrustplaneError,
} from '../spiffe/index.ts';

/** Who changed the policies, as the server knows it: a user of its host by the kernel, or a SPIFFE ID by an SVID. */
export type PolicyAuthor =
  | { readonly kind: 'user'; readonly uid: number; readonly name?: string | undefined }
  | { readonly kind: 'svid'; readonly id: string };

/** One version of all policies, without its files. Immutable. */
export interface PolicyVersion {
  /** Rises by one, from 1; by more where a repair left some out. */
  readonly version: number;
  /** SHA-256 of all below, lower-case hex; see docs/reference/policy-delivery.md. */
  readonly hash: string;
  /** `hash` of the version before; 64 zeros: there was none. */
  readonly previous: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly author: PolicyAuthor;
  /** What the author said of itself besides; empty: nothing. */
  readonly claimedAuthor: string;
  readonly reason: string;
  /** The version whose files these are again. */
  readonly restores: number | undefined;
  /** Of a repair: the version before, 0 for none; those in between are lost. Else undefined. */
  readonly follows: number | undefined;
  /** Of what the policies say. */
  readonly digest: string;
  /** Of names and bytes of the files. */
  readonly contentDigest: string;
  readonly files: number;
  /** Of all files. */
  readonly bytes: number;
  readonly rules: number;
  /** Its tests did not have to pass. */
  readonly skippedTests: boolean;
}

/** Where the files of a version are: records `texts.<place>.<part>`. */
export interface TextsPlace {
  readonly place: string;
  readonly parts: number;
}

export const versionLimits = {
  reasonBytes: 1_024,
  authorBytes: 256,
  /** How many are kept at most. */
  versions: 1_000,
} as const;

export const NO_VERSION: string = '0'.repeat(64);
/** Line ends, and what turns the direction of the text behind, are not what they look like in a list. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

const digest = z.string().regex(/^[0-9a-f]{64}$/u);
const count = z.int().nonnegative();
const authorSchema = z.union([
  z.strictObject({ kind: z.literal('user'), uid: count, name: z.string().optional() }),
  z.strictObject({ kind: z.literal('svid'), id: z.string() }),
]);
const versionSchema = z.strictObject({
  schema: z.literal(1),
  version: z.int().positive(),
  previous: digest,
  createdAt: count,
  author: authorSchema,
  claimedAuthor: z.string(),
  reason: z.string(),
  restores: z.int().positive().optional(),
  follows: count.optional(),
  digest,
  contentDigest: digest,
  files: count,
  bytes: count,
  rules: count,
  skippedTests: z.boolean(),
  place: z.string().regex(/^[0-9a-z-]{1,64}$/u),
  parts: z.int().positive().max(64),
});

/** The version that these facts make. */
export function makeVersion(facts: Omit<PolicyVersion, 'hash'>): PolicyVersion {
  return { ...facts, hash: hashOf(facts) };
}

export function encodeVersion(version: PolicyVersion, place: TextsPlace): Uint8Array {
  // Its hash comes out again, and is in the key.
  return Buffer.from(JSON.stringify({ schema: 1, ...version, ...place, hash: undefined }));
}

/** A version with its hash as it comes out, and where its files are. @throws an Error of another form */
export function decodeVersion(value: Uint8Array): PolicyVersion & TextsPlace {
  const read = versionSchema.parse(JSON.parse(Buffer.from(value).toString()));
  const { schema: _, place, parts, ...facts } = read;
  const { version, restores, follows } = facts;
  // Who goes back through the chain comes to an end.
  if (follows !== undefined && follows >= version) throw new Error('it follows on a later version');
  return { ...makeVersion({ ...facts, restores, follows }), place, parts };
}

/** SHA-256 over names and contents of files, each after its length; lower-case hex. */
export function contentDigestOf(files: readonly Pick<PolicyFile, 'name' | 'sha256'>[]): string {
  const hash = createHash('sha256').update('trustplane policy files v1\n');
  for (const { name, sha256 } of files) hash.update(`${name.length}:${name}${sha256}\n`);
  return hash.digest('hex');
}

/** @throws TrustplaneError ERR_POLICY_SET */
export function checkFiles(files: readonly PolicyFile[]): void {
  const limits = policyTextLimits;
  const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (files.length === 0 || files.length > limits.files)
    throw outOfBounds('a set of policies', `1 to ${limits.files} files`, `${files.length}`);
  if (total > limits.bytes)
    throw outOfBounds('a set of policies', `at most ${limits.bytes} bytes`, `${total}`);
  for (const [index, { name, bytes }] of files.entries()) {
    if (!isPolicyFileName(name))
      throw outOfBounds(
        'the name of a policy file',
        `x.yaml or x.yml of A-Z, a-z, 0-9, ".", "_", "-", at most ${limits.nameBytes}`,
        JSON.stringify(name.slice(0, 200)),
      );
    if (bytes.length > limits.fileBytes)
      throw outOfBounds(name, `at most ${limits.fileBytes} bytes`, `${bytes.length}`);
    if (name === files[index - 1]?.name) throw outOfBounds('files', 'each once', `${name} twice`);
  }
}

/** @throws TrustplaneError ERR_POLICY_SET */
export function checkWords(reason: string, claimedAuthor: string): void {
  const { reasonBytes, authorBytes } = versionLimits;
  const isWord = (text: string, most: number): boolean =>
    Buffer.byteLength(text) <= most && !UNPRINTABLE.test(text);
  if (reason.trim() === '' || !isWord(reason, reasonBytes))
    throw outOfBounds('the reason', `1 to ${reasonBytes} bytes in one line`, `${reason.length}`);
  if (!isWord(claimedAuthor, authorBytes))
    throw outOfBounds(
      'the author',
      `at most ${authorBytes} bytes in one line`,
      `${claimedAuthor.length}`,
    );
}

/** Such as `root (uid 0)`, `uid 1000` or a SPIFFE ID. */
export function describeAuthor({ author }: Pick<PolicyVersion, 'author'>): string {
  if (author.kind === 'svid') return author.id;
  return author.name === undefined ? `uid ${author.uid}` : `${author.name} (uid ${author.uid})`;
}

function hashOf(facts: Omit<PolicyVersion, 'hash'>): string {
  const { author } = facts;
  const who =
    author.kind === 'user' ? ['user', author.uid, author.name ?? ''] : ['svid', author.id];
  const fields = [
    facts.version,
    facts.previous,
    facts.createdAt,
    who,
    facts.claimedAuthor,
    facts.reason,
    facts.restores ?? 0,
    facts.digest,
    facts.contentDigest,
    facts.files,
    facts.bytes,
    facts.rules,
    facts.skippedTests,
    ...(facts.follows === undefined ? [] : [facts.follows]),
  ];
  const text = `trustplane policy version v1\n${JSON.stringify(fields)}`;
  return createHash('sha256').update(text).digest('hex');
}

function outOfBounds(what: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError('ERR_POLICY_SET', `${what}: expected ${expected}; got ${got}`);
}
