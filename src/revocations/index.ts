/** Which SVIDs are refused although they have not expired, kept where every server reads it. */
export { lastingRevocations } from './lasting-revocations.ts';
export {
  type RevocationChange,
  type RevocationDraft,
  RevocationRegistry,
  type RevocationRegistryOptions,
} from './revocation-registry.ts';
