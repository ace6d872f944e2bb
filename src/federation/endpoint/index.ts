/** The bundle endpoint (SPIFFE Federation §5): what it publishes, and how it shows who it is. Loaded where one is configured. */
export { type EndpointIdentity } from './endpoint-identity.ts';
export { followCertificateFiles } from './follow-certificate-files.ts';
export {
  type BundleEndpointOptions,
  type BundleEndpointServer,
  serveBundleEndpoint,
} from './serve-bundle-endpoint.ts';
