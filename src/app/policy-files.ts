import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { readFileBounded } from '../ops/index.ts';
import { messageOf, policyTextLimits, TrustplaneError } from '../spiffe/index.ts';

const MAX_POLICY_BYTES = 1_048_576;

/** The policy files of a directory as they are at one moment. */
export interface PolicyFiles {
  /** Paths, in order. */
  readonly files: readonly string[];
  /** Another one after each change, but for one so soon after the last that the file's time is the same. */
  readonly stamp: string;
  /** When the last change was, in milliseconds by the clock of the file system. */
  readonly changedAt: number;
}

/** Hidden files are none: editors keep their own beside ours. @throws TrustplaneError ERR_POLICY */
export async function findPolicyFiles(directory: string): Promise<PolicyFiles> {
  const files = await listPolicyFiles(directory);
  let changedAt = 0;
  const stamps = files.map(async (file) => {
    const facts = await stat(file, { bigint: true }).catch(() => undefined);
    if (facts === undefined) return `${file} cannot be seen`;
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = facts;
    changedAt = Math.max(changedAt, Number(ctimeMs));
    return `${file} ${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  });
  const stamp = (await Promise.all(stamps)).join('\n');
  return { files, stamp, changedAt };
}

/** Files as they are named, and the policy files of each directory. @throws TrustplaneError ERR_POLICY */
export async function findNamedPolicyFiles(names: readonly string[]): Promise<readonly string[]> {
  const found = names.map(async (name) => {
    const facts = await stat(name).catch(() => undefined);
    return facts?.isDirectory() === true ? await listPolicyFiles(name) : [name];
  });
  return (await Promise.all(found)).flat();
}

/** @throws TrustplaneError ERR_POLICY, ERR_FILE_READ, ERR_FILE_TOO_LARGE */
export async function readPolicyBytes(file: string): Promise<Uint8Array> {
  const bytes = await readFileBounded(file, MAX_POLICY_BYTES);
  if (bytes === undefined)
    throw new TrustplaneError('ERR_POLICY', `${file}: there is no such file`);
  return bytes;
}

async function listPolicyFiles(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((cause: unknown) => {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    const message = isMissing
      ? `there is no policy directory ${directory}`
      : `the policy directory ${directory} cannot be read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_POLICY', message, { cause });
  });
  const files = names.filter((name) => /^[^.].*\.ya?ml$/u.test(name)).sort();
  if (files.length <= policyTextLimits.files)
    return files.map((name) => path.join(directory, name));
  throw new TrustplaneError(
    'ERR_POLICY',
    `${directory} has ${files.length} policy files; at most ${policyTextLimits.files} are read`,
  );
}
