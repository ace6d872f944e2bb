import type { EndpointIdentity } from '../federation/endpoint/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';
import type { Config } from './config.ts';
import type { BundleEndpointConfig } from './federation-config.ts';
import { keepListening, type Process } from './process.ts';
import type { ServerRole } from './server-role.ts';

/** The endpoint that is served. */
export interface BundleEndpoint {
  /** With the address it listens on, or the first name of its certificate. */
  readonly url: string;
  readonly profile: 'https_spiffe' | 'https_web';
}

/**
 * Begins to serve the own bundle to anybody, where that is configured; closed with `process`.
 * @throws TrustplaneError ERR_LISTEN, ERR_ENDPOINT_CERTIFICATE
 */
export async function openBundleEndpoint(
  { federation: { bundleEndpoint } }: Config,
  process: Process,
  { trust, identity }: Pick<ServerRole, 'trust' | 'identity'>,
): Promise<BundleEndpoint | undefined> {
  if (bundleEndpoint === undefined) return undefined;
  const { clock, log, metrics, closing, readiness } = process;
  // Loaded when it is wanted, with the HTTP of Node.
  const endpoint = await import('../federation/endpoint/index.ts');
  const shown = await openIdentity(bundleEndpoint, process, identity);
  closing.defer(() => shown.close());
  const listener = await endpoint.serveBundleEndpoint({
    ...bundleEndpoint,
    ...bundleEndpoint.address,
    trust,
    identity: () => shown.current(),
    clock,
    log,
    metrics,
  });
  keepListening(process, listener);
  readiness.observe('bundle-endpoint', () => shown.fault());
  const profile = bundleEndpoint.certificate.kind === 'svid' ? 'https_spiffe' : 'https_web';
  return { url: formatUrl(bundleEndpoint, listener), profile };
}

async function openIdentity(
  { certificate }: BundleEndpointConfig,
  { clock, log, metrics, reloader }: Process,
  openSvid: ServerRole['identity'],
): Promise<EndpointIdentity> {
  if (certificate.kind === 'svid') return ofSvid(await openSvid());
  if (certificate.kind === 'acme')
    throw new TrustplaneError('ERR_ENDPOINT_CERTIFICATE', 'ACME is not there yet');
  const endpoint = await import('../federation/endpoint/index.ts');
  const files = await endpoint.followCertificateFiles({ ...certificate, clock, log, metrics });
  // The names are of the start; what stands in the files is of now.
  reloader.add([], () => files.reload());
  return files;
}

/** It is renewed, and closed, with all that show it. */
function ofSvid(svid: { current(): TlsIdentity }): EndpointIdentity {
  return {
    current: () => svid.current(),
    fault() {
      try {
        svid.current();
        return undefined;
      } catch (error) {
        return messageOf(error);
      }
    },
    close: async () => {},
  };
}

function formatUrl(
  { path }: BundleEndpointConfig,
  { host, port }: { readonly host: string; readonly port: number },
): string {
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}
