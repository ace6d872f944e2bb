import { type Policy, policySchema } from '../../authz/index.ts';
import { checkDocument, type LocatedYaml, parseStrictYaml } from '../../ops/index.ts';
import { type PolicyFile, TrustplaneError } from '../../spiffe/index.ts';

/** A policy and where it stands. */
export interface ReadPolicy {
  readonly policy: Policy;
  readonly document: LocatedYaml;
}

/** @throws TrustplaneError ERR_POLICY, ERR_YAML, ERR_CONFIG: each mistake on a line, as file:line:column: what is wrong */
export function readPolicy({ name, bytes }: Pick<PolicyFile, 'name' | 'bytes'>): ReadPolicy {
  const document = parseStrictYaml(decode(name, bytes), name);
  return { document, policy: checkDocument(document, policySchema) };
}

function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TrustplaneError('ERR_POLICY', `${name}: is not UTF-8`, { cause });
  }
}
