import { instant } from './admin-call.ts';

/** trustplane.admin.v1.Relationship */
export interface RelationshipMessage {
  readonly relationship?: {
    readonly trust_domain?: string;
    readonly bundle_endpoint_url?: string;
    readonly https_spiffe?: { readonly endpoint_spiffe_id?: string } | null;
  } | null;
  readonly terms?: {
    readonly accept?: readonly string[];
    readonly publisher_id?: string;
    readonly await_ack?: boolean;
    readonly web_ca?: string;
  } | null;
  readonly configured?: boolean;
  readonly fetches?: FetchesMessage | null;
  readonly publisher_id?: string;
  readonly last_heard_at?: string;
}

interface FetchesMessage {
  readonly last_attempt_at?: string;
  readonly last_success_at?: string;
  readonly next_attempt_at?: string;
  readonly error_code?: string;
  readonly error?: string;
  readonly has_bundle?: boolean;
  readonly sequence_number?: string;
  readonly etag?: string;
  readonly chain?: readonly {
    readonly name?: string;
    readonly serial_number?: string;
    readonly not_after?: string;
    readonly fingerprint?: string;
  }[];
}

/** A relationship as the command line prints it. Instants in RFC 3339. */
export interface RelationshipView {
  readonly trustDomain: string;
  readonly bundleEndpointUrl: string;
  readonly bundleEndpointProfile: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string;
  readonly accept: readonly string[];
  readonly publisherId: string;
  readonly awaitAck: boolean;
  /** PEM. */
  readonly webCa?: string;
  /** It stands in the configuration file. */
  readonly configured: boolean;
  readonly hasBundle: boolean;
  /** Null where the bundle has none. */
  readonly sequenceNumber: string | null;
  /** Null: never, or on another server. */
  readonly lastAttemptAt: string | null;
  readonly lastSuccessAt: string | null;
  readonly nextAttemptAt: string | null;
  /** Of the last attempt; null when it went well. */
  readonly lastError: { readonly code: string; readonly message: string } | null;
  readonly etag: string | null;
  /** When the bundle was last heard over NATS; null: never, by this server. */
  readonly lastHeardAt: string | null;
  /** What the endpoint presented last, leaf first. */
  readonly chain: readonly {
    readonly name: string;
    readonly serialNumber: string;
    readonly notAfter: string;
    readonly fingerprint: string;
  }[];
}

export function buildView(message: RelationshipMessage): RelationshipView {
  const { relationship, terms, fetches } = message;
  return {
    trustDomain: relationship?.trust_domain ?? '',
    bundleEndpointUrl: relationship?.bundle_endpoint_url ?? '',
    ...(relationship?.https_spiffe
      ? {
          bundleEndpointProfile: 'https_spiffe' as const,
          endpointSpiffeId: relationship.https_spiffe.endpoint_spiffe_id ?? '',
        }
      : { bundleEndpointProfile: 'https_web' as const }),
    accept: terms?.accept ?? [],
    publisherId: message.publisher_id ?? '',
    awaitAck: terms?.await_ack === true,
    ...(terms?.web_ca ? { webCa: terms.web_ca } : {}),
    configured: message.configured === true,
    lastHeardAt: instantOrNever(message.last_heard_at),
    ...buildFetchesView(fetches ?? {}),
  };
}

function buildFetchesView(
  message: FetchesMessage,
): Omit<
  RelationshipView,
  | 'trustDomain'
  | 'bundleEndpointUrl'
  | 'bundleEndpointProfile'
  | 'accept'
  | 'publisherId'
  | 'awaitAck'
  | 'configured'
  | 'lastHeardAt'
> {
  const { error_code: code, error, sequence_number, etag, chain = [] } = message;
  return {
    hasBundle: message.has_bundle === true,
    sequenceNumber: sequence_number || null,
    lastAttemptAt: instantOrNever(message.last_attempt_at),
    lastSuccessAt: instantOrNever(message.last_success_at),
    nextAttemptAt: instantOrNever(message.next_attempt_at),
    lastError: code ? { code, message: error ?? '' } : null,
    etag: etag || null,
    chain: chain.map(({ name = '', serial_number = '', not_after, fingerprint = '' }) => ({
      name,
      serialNumber: serial_number,
      notAfter: instant(not_after),
      fingerprint,
    })),
  };
}

function instantOrNever(seconds: string = '0'): string | null {
  return seconds === '0' ? null : instant(seconds);
}
