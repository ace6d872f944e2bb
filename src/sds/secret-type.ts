import type { Log, Metrics } from '../ops/index.ts';
import type { GrpcService } from '../wire/index.ts';
import {
  createNackLog,
  createTypeMetrics,
  type DiscoveryGround,
  type DiscoveryService,
  type ResourceType,
  serveType,
} from '../xds/index.ts';
import type { BundleAudience } from './context-holder.ts';
import { checkSdsNames, type SdsNames } from './names.ts';
import { modeOf } from './node-mode.ts';
import { createSecretEncoder, type SecretKind } from './secret.ts';
import { loadSecretMessages, SECRET_TYPE_URL } from './secret-messages.ts';
import { type SecretGround, SecretSession } from './secret-session.ts';
import { createSecretViews } from './secret-view.ts';

export interface SecretOptions {
  readonly names: SdsNames;
  /** Serve plain validation contexts to clients whose node metadata does not say which they want. */
  readonly disableSpiffeCertValidation: boolean;
  /** Have clients check peers of the own trust domain against its CRLs; default: they do not. */
  readonly crls?: boolean;
  /**
   * DER of a CA certificate whose key signed nothing and is gone: what a client is told to trust for a
   * trust domain that has no authorities.
   */
  readonly unmatchableCa: Uint8Array;
  /** Told which clients have the own bundle; default: nobody. */
  readonly audience?: BundleAudience | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
}

const service: DiscoveryService = {
  file: 'envoy/service/secret/v3/sds.proto',
  name: 'envoy.service.secret.v3.SecretDiscoveryService',
  label: 'SDS',
  codes: 'SDS',
  methods: { sotw: 'StreamSecrets', delta: 'DeltaSecrets', fetch: 'FetchSecrets' },
};

const kinds: readonly SecretKind[] = ['tls_certificate', 'validation_context'];
const MAX_OMITTED_LOGGED = 10;

/** Envoy's Secret Discovery Service for attested local processes. */
export function createSds(secrets: ResourceType, ground: DiscoveryGround): GrpcService {
  return serveType(service, secrets, ground);
}

/**
 * The secrets that attested local processes may have.
 * @throws TrustplaneError ERR_SDS_NAMES
 */
export function createSecretType(options: SecretOptions): ResourceType {
  checkSdsNames(options.names);
  const { log, metrics } = options;
  const ground = createGround(options);
  const configured = options.disableSpiffeCertValidation ? 'plain' : 'spiffe';
  const notePlain = once(() =>
    log.warn({}, 'SDS serves plain validation contexts: their SAN prefix joins SAN lists in Envoy'),
  );
  return {
    typeUrl: SECRET_TYPE_URL,
    metrics: createTypeMetrics(metrics, {
      prefix: 'sds',
      label: 'SDS',
      one: 'a secret',
      many: 'secrets',
      kinds,
    }),
    nacks: createNackLog(log, 'a secret'),
    open(client) {
      const mode = modeOf(client.node) ?? configured;
      if (mode === 'plain') notePlain();
      const fields = { pid: client.pid, node: client.node?.id ?? '', mode };
      log.debug(fields, 'an SDS stream asks for secrets');
      return new SecretSession(client, mode, ground);
    },
  };
}

function createGround({
  names,
  crls,
  unmatchableCa,
  audience,
  log,
  metrics,
}: SecretOptions): SecretGround {
  let last = '';
  const onOmitted = (resourceName: string, trustDomains: readonly string[]): void => {
    const what = `${resourceName} ${trustDomains.join()}`;
    if (what === last) return;
    last = what;
    const omitted = trustDomains.slice(0, MAX_OMITTED_LOGGED);
    const fields = { resourceName, count: trustDomains.length, omitted };
    log.error(fields, 'a validation context has no room for all trust domains');
  };
  const declined = metrics.gauge(
    'trustplane_sds_withheld_contexts',
    'Validation contexts made without the trust domains of which some SPIFFE IDs alone are accepted, for clients that take no list of those.',
  );
  const encoder = createSecretEncoder(loadSecretMessages(), unmatchableCa, onOmitted);
  return {
    viewOf: createSecretViews(encoder, names, crls),
    audience,
    log,
    countDeclined: (change) => declined.inc(change),
  };
}

function once(act: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) act();
    isDone = true;
  };
}
