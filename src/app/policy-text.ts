import { createHash } from 'node:crypto';
import { canonicalText, type Policy, policySchema } from '../authz/index.ts';
import { checkDocument, type LocatedYaml, parseStrictYaml, readFileBounded } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

const MAX_POLICY_BYTES = 1_048_576;

/** A policy and where it stands. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly document: LocatedYaml;
}

/** @throws TrustplaneError ERR_POLICY, ERR_FILE_READ, ERR_FILE_TOO_LARGE */
export async function readPolicyBytes(file: string): Promise<Uint8Array> {
  const bytes = await readFileBounded(file, MAX_POLICY_BYTES);
  if (bytes === undefined)
    throw new TrustplaneError('ERR_POLICY', `${file}: there is no such file`);
  return bytes;
}

/** @throws TrustplaneError ERR_POLICY, ERR_YAML, ERR_CONFIG: complaints as `name:line:column: message` */
export function parsePolicy(name: string, bytes: Uint8Array): LoadedPolicy {
  const document = parseStrictYaml(decodeText(name, bytes), name);
  return { document, policy: checkDocument(document, policySchema) };
}

/** Names a set of policies: the same for the same policies, whatever their order. SHA-256, lower-case hex. */
export function digestOf(policies: readonly Policy[]): string {
  return createHash('sha256').update(canonicalText(policies)).digest('hex');
}

function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrustplaneError('ERR_POLICY', `${name}: is not UTF-8`, { cause });
  }
}
