import { createHash } from 'node:crypto';
import { canonicalText, type Policy } from '../../authz/index.ts';

/** Names a set of policies: the same for the same policies, whatever their order. SHA-256, lower-case hex. */
export function digestOf(policies: readonly Policy[]): string {
  return createHash('sha256').update(canonicalText(policies)).digest('hex');
}
