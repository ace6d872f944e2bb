import path from 'node:path';
import type { EndpointIdentity } from '../federation/endpoint/index.ts';
import { readFileBounded } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';
import type { AcmeConfig, BundleEndpointConfig } from './bundle-endpoint-config.ts';
import type { Config } from './config.ts';
import { keepListening, type Process } from './process.ts';
import type { ServerRole } from './server-role.ts';

const SECTION = 'federation.bundleEndpoint';
/** What a running endpoint takes up. */
const PUBLISHED = ['path', 'leaveOutWitKeys', 'bundleMap.path', 'bundleMap.envoyPath'].map(
  (name) => `${SECTION}.${name}`,
);
const MAX_CA_BYTES = 1_048_576;

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
  config: Config,
  process: Process,
  { trust, identity }: Pick<ServerRole, 'trust' | 'identity'>,
): Promise<BundleEndpoint | undefined> {
  const { bundleEndpoint } = config.federation;
  let published: ((paths: BundleEndpointConfig) => void) | undefined;
  process.reloader.add(PUBLISHED, (next) => {
    const { bundleEndpoint: paths } = next.federation;
    if (paths !== undefined) published?.(paths);
  });
  if (bundleEndpoint === undefined) return undefined;
  const { clock, log, metrics, closing, readiness } = process;
  // Loaded when it is wanted.
  const endpoint = await import('../federation/endpoint/index.ts');
  const shown = await openIdentity(config, bundleEndpoint, process, identity);
  closing.defer(() => shown.close());
  const listener = await endpoint.serveBundleEndpoint({
    ...bundleEndpoint,
    ...bundleEndpoint.address,
    trust,
    identity: () => shown.current(),
    acmeChallenge: () => shown.challenge?.(),
    clock,
    log,
    metrics,
  });
  published = (paths) => listener.publish(paths);
  keepListening(process, listener);
  shown.start();
  readiness.observe('bundle-endpoint', () => shown.fault());
  const profile = bundleEndpoint.certificate.kind === 'svid' ? 'https_spiffe' : 'https_web';
  return { url: formatUrl(bundleEndpoint, listener), profile };
}

type ShownIdentity = EndpointIdentity & { challenge?(): TlsIdentity | undefined };

async function openIdentity(
  config: Config,
  { certificate }: BundleEndpointConfig,
  process: Process,
  openSvid: ServerRole['identity'],
): Promise<ShownIdentity> {
  if (certificate.kind === 'svid') return ofSvid(await openSvid());
  if (certificate.kind === 'acme') return await openAcme(config, certificate, process);
  const { clock, log, metrics, reloader } = process;
  const endpoint = await import('../federation/endpoint/index.ts');
  const files = await endpoint.followCertificateFiles({ ...certificate, clock, log, metrics });
  // The names are of the start; what stands in the files is of now.
  reloader.add([], () => files.reload());
  return files;
}

/** It is renewed, and closed, with all that show it. */
function ofSvid(svid: { current(): TlsIdentity }): ShownIdentity {
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
    start() {},
    close: async () => {},
  };
}

async function openAcme(
  { dataDir }: Config,
  { caFile, ...acme }: AcmeConfig,
  { clock, log, metrics }: Process,
): Promise<ShownIdentity> {
  const { keepAcmeCertificate } = await import('../federation/acme/index.ts');
  const bytes = caFile === undefined ? undefined : await readFileBounded(caFile, MAX_CA_BYTES);
  if (caFile !== undefined && bytes === undefined)
    throw new TrustplaneError('ERR_CONFIG', `${SECTION}.acme.caFile: ${caFile} does not exist`);
  return await keepAcmeCertificate({
    ...acme,
    ca: bytes && Buffer.from(bytes).toString('latin1'),
    folder: path.join(dataDir, 'acme'),
    clock,
    log,
    metrics,
    random: Math.random,
  });
}

function formatUrl(
  { path, certificate }: BundleEndpointConfig,
  listener: { readonly host: string; readonly port: number },
): string {
  const { port } = listener;
  const [host = listener.host] = certificate.kind === 'acme' ? certificate.domainNames : [];
  return `https://${host.includes(':') ? `[${host}]` : host}:${port}${path}`;
}
