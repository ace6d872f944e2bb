import { TrustplaneError } from '../spiffe/index.ts';
import type { AcmeFile, BundleEndpointFile } from './bundle-endpoint-schema.ts';
import type { Address } from './config-values.ts';

/** The endpoint where anybody may read the own bundle. */
export interface BundleEndpointConfig {
  readonly address: Address;
  /** How it shows who it is. */
  readonly certificate: EndpointCertificateConfig;
  readonly path: string;
  readonly leaveOutWitKeys: boolean;
  /** Undefined: not served. */
  readonly bundleMap: { readonly path: string | undefined; readonly envoyPath: string | undefined };
}

/** `svid` is the profile https_spiffe, the others https_web. */
export type EndpointCertificateConfig =
  | { readonly kind: 'svid' }
  | { readonly kind: 'files'; readonly certificateFile: string; readonly privateKeyFile: string }
  | ({ readonly kind: 'acme' } & AcmeConfig);

/** The terms of service are accepted. */
export interface AcmeConfig {
  readonly directoryUrl: string;
  readonly domainNames: readonly string[];
  readonly email: string | undefined;
  readonly caFile: string | undefined;
}

/** @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function buildBundleEndpoint(file: BundleEndpointFile): BundleEndpointConfig {
  const { address, path = '/', leaveOutWitKeys = false, bundleMap } = file;
  const mapPaths = { path: bundleMap?.path, envoyPath: bundleMap?.envoyPath };
  const paths = [path, mapPaths.path, mapPaths.envoyPath].filter((one) => one !== undefined);
  if (new Set(paths).size < paths.length) {
    throw contradiction(`path and the paths of bundleMap must differ; got ${paths.join(', ')}`);
  }
  return {
    address,
    certificate: buildCertificate(file),
    path,
    leaveOutWitKeys,
    bundleMap: mapPaths,
  };
}

function buildCertificate(file: BundleEndpointFile): EndpointCertificateConfig {
  const { profile = 'https_spiffe', certificateFile, privateKeyFile, acme } = file;
  const hasFile = certificateFile !== undefined || privateKeyFile !== undefined;
  if (profile === 'https_spiffe') {
    if (!hasFile && acme === undefined) return { kind: 'svid' };
    throw contradiction(
      'https_spiffe shows an SVID: certificateFile, privateKeyFile and acme belong to profile https_web',
    );
  }
  if (hasFile === (acme !== undefined)) {
    throw contradiction(
      `profile https_web takes either certificateFile and privateKeyFile, or acme; got ${hasFile ? 'both' : 'neither'}`,
    );
  }
  if (acme !== undefined) return { kind: 'acme', ...buildAcme(acme) };
  if (certificateFile === undefined || privateKeyFile === undefined) {
    throw contradiction('certificateFile and privateKeyFile say nothing without each other');
  }
  return { kind: 'files', certificateFile, privateKeyFile };
}

function buildAcme(file: AcmeFile): AcmeConfig {
  const {
    directoryUrl = 'https://acme-v02.api.letsencrypt.org/directory',
    domainNames,
    tosAccepted = false,
    email,
    caFile,
  } = file;
  if (!tosAccepted) {
    throw contradiction(
      'acme.tosAccepted is not true: read the terms of service of the ACME authority, then set it',
    );
  }
  return { directoryUrl, domainNames, email, caFile };
}

function contradiction(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', `federation.bundleEndpoint: ${message}`);
}
