import { randomBytes } from 'node:crypto';
import { createFederationService } from '../api/index.ts';
import { FederationClient } from '../federation/client/index.ts';
import {
  type ConfiguredRelationship,
  type FederationRelationship,
  keepConfigured,
  parseWebCa,
} from '../federation/index.ts';
import { readFileBounded } from '../ops/index.ts';
import {
  type Bundle,
  parseBundleDocument,
  parsePemBundle,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Duty } from '../store/index.ts';
import type { Config } from './config.ts';
import type { Broadcast } from './open-broadcast.ts';
import type { Federation } from './open-federation.ts';
import type { Process } from './process.ts';
import type { RelationshipConfig } from './relationship-config.ts';

const MAX_FILE_BYTES = 1_048_576;
/** So many peers are named where people look. */
const MAX_NAMED = 5;

/**
 * Makes the relationships of the configuration, now and at each reload, and begins to fetch the bundles
 * of all; closed with `process`.
 * @throws TrustplaneError ERR_FILE_*, ERR_RELATIONSHIP, ERR_BUNDLE*, ERR_PEM, ERR_CERTIFICATE, ERR_JSON, ERR_STORE_*
 */
export async function openFederationClient(
  config: Config,
  process: Process,
  federation: Federation & { readonly trust: TrustMapSource },
  duty: Duty,
  broadcast: Broadcast | undefined,
): Promise<FederationClient> {
  const { log, metrics, clock, closing, readiness, reloader } = process;
  const configured = await loadRelationships(config);
  await keepConfigured({ ...federation, log }, configured);
  const client = new FederationClient({
    ...federation,
    maxRedirects: config.federation.maxRedirects,
    duty,
    clock,
    random: randomBytes,
    // Every fetch leaves its line; how often there is one the client decides.
    log,
    metrics,
  });
  closing.defer(() => client.close());
  reloader.add(['federation.relationships'], async (next) => {
    await keepConfigured({ ...federation, log }, await loadRelationships(next));
  });
  readiness.observe('federation', () => faultOf(client));
  process.adminServices.push({
    service: createFederationService({
      ...config,
      ...federation,
      client,
      heardAt: (trustDomain) => broadcast?.lastOf(trustDomain)?.receivedAt,
      log,
    }),
    file: 'trustplane/admin/v1/federation.proto',
  });
  return client;
}

async function loadRelationships({
  federation,
}: Pick<Config, 'federation'>): Promise<readonly ConfiguredRelationship[]> {
  const loaded: ConfiguredRelationship[] = [];
  for (const configured of federation.relationships) loaded.push(await loadFiles(configured));
  return loaded;
}

async function loadFiles({
  relationship,
  trustBundleFile,
  webCaFile,
}: RelationshipConfig): Promise<ConfiguredRelationship> {
  const webCa =
    webCaFile && (await loadFrom(webCaFile, (bytes) => parseWebCa(bytes.toString('latin1'))));
  const bundle = trustBundleFile && (await loadBundle(relationship, trustBundleFile));
  return { relationship: { ...relationship, webCa }, bundle: bundle || undefined };
}

async function loadBundle({ trustDomain }: FederationRelationship, file: string): Promise<Bundle> {
  return await loadFrom(file, (bytes) => {
    const text = bytes.toString('latin1');
    if (text.trimStart().startsWith('-----BEGIN')) return parsePemBundle(trustDomain, text);
    return parseBundleDocument(trustDomain, bytes).bundle;
  });
}

/** Errors name the file. */
async function loadFrom<T>(file: string, parse: (bytes: Buffer) => T): Promise<T> {
  const bytes = await load(file);
  try {
    return parse(bytes);
  } catch (cause) {
    if (!(cause instanceof TrustplaneError)) throw cause;
    throw new TrustplaneError(cause.code, `${file}: ${cause.message}`, { cause });
  }
}

async function load(file: string): Promise<Buffer> {
  const bytes = await readFileBounded(file, MAX_FILE_BYTES);
  if (bytes !== undefined) return Buffer.from(bytes);
  throw new TrustplaneError('ERR_FILE_READ', `${file}: there is no such file`);
}

/** Which peers are not heard of; the server is ready all the same. */
function faultOf(client: FederationClient): string | undefined {
  const failing = client.failing();
  if (failing.length === 0) return undefined;
  const named = failing
    .slice(0, MAX_NAMED)
    .map(({ trustDomain, lastError }) => `${trustDomain.name} (${lastError?.code})`);
  const more = failing.length > named.length ? [`${failing.length - named.length} more`] : [];
  return `bundles that cannot be fetched: ${[...named, ...more].join(', ')}`;
}
