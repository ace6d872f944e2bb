import { compileForCheck, messageFor } from '../authz/rbac/index.ts';
import type { ExtensionConfig } from '../ecds/index.ts';
import { sealRbac } from './seal-rbac.ts';

/**
 * What an Envoy in front of Check has while it cannot have its rules: it asks about everything. Rules of before
 * would have Check skipped where they allow, whatever the policies say now.
 */
export function askForAll(name: string): ExtensionConfig {
  const message = messageFor('before-check', compileForCheck(), false);
  return { name, ...sealRbac(name, message) };
}
