import { createHash } from 'node:crypto';
import type { SecretResponse } from './respond.ts';
import { type SdsMessages, SECRET_TYPE_URL } from './sds-messages.ts';
import type { Secret } from './secret.ts';

/**
 * Writes responses out of encoded secrets. Encoded messages that stand one after the other are one
 * message with the fields of both, so only the few bytes that differ per stream are encoded per stream.
 */
export interface ResponseEncoder {
  readonly sotw: (response: SecretResponse) => Buffer;
  readonly delta: (response: SecretResponse) => Buffer;
}

export function createResponseEncoder(messages: SdsMessages): ResponseEncoder {
  return {
    sotw({ nonce, secrets }) {
      const envelope = { version_info: versionOf(secrets), type_url: SECRET_TYPE_URL, nonce };
      const head = messages.sotwResponse.encode(envelope).finish();
      return Buffer.concat([head, ...secrets.flatMap(({ sotw }) => sotw.parts)]);
    },
    delta({ nonce, secrets, removed }) {
      const envelope = { type_url: SECRET_TYPE_URL, nonce, removed_resources: removed };
      const head = messages.deltaResponse.encode(envelope).finish();
      return Buffer.concat([head, ...secrets.flatMap(({ delta }) => delta.parts)]);
    },
  };
}

/** One secret's own version, or a hash over all of them: it tells of the content, not of the stream. */
function versionOf(secrets: readonly Secret[]): string {
  const [first] = secrets;
  if (first !== undefined && secrets.length === 1) return first.version;
  const hash = createHash('sha256');
  for (const { version } of secrets) hash.update(version);
  return hash.digest('hex').slice(0, 32);
}
