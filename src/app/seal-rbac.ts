import { createHash } from 'node:crypto';
import { encodeRbacExtension, type RbacMessage } from '../authz/rbac/index.ts';

const VERSION_DIGITS = 32;

/** Rules as Envoy is sent them. */
export interface SealedRbac {
  /** An encoded envoy.config.core.v3.TypedExtensionConfig, in a buffer of its own. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the bytes. */
  readonly version: string;
}

export function sealRbac(name: string, message: RbacMessage): SealedRbac {
  // It may go to another thread.
  const bytes = new Uint8Array(encodeRbacExtension(name, message));
  const version = createHash('sha256').update(bytes).digest('hex').slice(0, VERSION_DIGITS);
  return { bytes, version };
}
