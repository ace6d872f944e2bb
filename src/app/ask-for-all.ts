import { createHash } from 'node:crypto';
import { compileForCheck, encodeRbacExtension, messageFor } from '../authz/rbac/index.ts';
import type { ExtensionConfig } from '../ecds/index.ts';

const VERSION_DIGITS = 32;

/**
 * What an Envoy in front of Check has while it cannot have its rules: it asks about everything. Rules of before
 * would have Check skipped where they allow, whatever the policies say now.
 */
export function askForAll(name: string): ExtensionConfig {
  const message = messageFor('before-check', compileForCheck(), false);
  const bytes = new Uint8Array(encodeRbacExtension(name, message));
  const version = createHash('sha256').update(bytes).digest('hex').slice(0, VERSION_DIGITS);
  return { name, version, bytes };
}
