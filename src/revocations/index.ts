/** Which SVIDs are refused although they have not expired, and to whom none are issued, kept where every server reads it. */
export { lastingRevocations } from './lasting-revocations.ts';
export { lastingSuspensions } from './lasting-suspensions.ts';
export {
  type RevocationChange,
  type RevocationDraft,
  RevocationRegistry,
  type RevocationRegistryOptions,
} from './revocation-registry.ts';
export type { SuspensionFact } from './suspension-record.ts';
export type { SuspensionDraft, Suspensions } from './suspensions.ts';
