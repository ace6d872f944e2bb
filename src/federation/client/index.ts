/** The federation client (SPIFFE Federation §5.2, §6): keeps the bundles of foreign trust domains as their endpoints have them. */
export { FederationClient } from './federation-client.ts';
export type { CertificateFacts, PeerStatus } from './peer-status.ts';
