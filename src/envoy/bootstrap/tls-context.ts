import type { SpiffeId } from '../../spiffe/index.ts';
import type { BootstrapOptions, Inbound } from './bootstrap-options.ts';
import { note, type Shared, type Tree, type TreeMap } from './commented-tree.ts';

const versions: Tree = note(
  'Older versions are broken; what no one says here may change with Envoy.',
  {
    tls_minimum_protocol_version: 'TLSv1_2',
    tls_maximum_protocol_version: 'TLSv1_3',
  },
);

/** Of the listener that the mesh reaches. */
export function callerTls(options: BootstrapOptions, inbound: Inbound, source: Shared): TreeMap {
  return socket('DownstreamTlsContext', {
    require_client_certificate: note(
      'Without this line a caller without a certificate is let in.',
      true,
    ),
    disable_stateless_session_resumption: note(
      'A resumed session is not verified again: it would outlive a revoked authority. So no tickets, no session cache, and no session_ticket_keys.',
      true,
    ),
    disable_stateful_session_resumption: true,
    common_tls_context: {
      tls_params: versions,
      alpn_protocols: options.isTcp ? undefined : ['h2', 'http/1.1'],
      tls_certificate_sds_secret_configs: ownSvid(options, source),
      ...callers(options, inbound, source),
    },
  });
}

function callers({ trust }: BootstrapOptions, { callerIds }: Inbound, source: Shared): TreeMap {
  if (callerIds.length === 0)
    return {
      validation_context_sds_secret_config: note(
        `Policies say who may do what, so any workload of a trusted domain may connect. ${meaningOf(trust)}`,
        { name: trust, sds_config: source },
      ),
    };
  return peers(
    'Who may connect, by SPIFFE ID, before anything else is asked.',
    callerIds,
    trust,
    source,
  );
}

/** Of a connection to a server that must be one of `ids`. */
export function serverTls(options: {
  readonly bootstrap: BootstrapOptions;
  readonly ids: readonly SpiffeId[];
  readonly why: string;
  readonly alpn: readonly string[] | undefined;
  readonly source: Shared;
}): TreeMap {
  const { bootstrap, ids, why, alpn, source } = options;
  return socket('UpstreamTlsContext', {
    max_session_keys: note(
      'A resumed session is not verified again: it would outlive a revoked authority.',
      0,
    ),
    common_tls_context: {
      tls_params: versions,
      alpn_protocols: alpn,
      tls_certificate_sds_secret_configs: ownSvid(bootstrap, source),
      ...peers(why, ids, bootstrap.trust, source),
    },
  });
}

/** Of a connection to a site with an ordinary certificate. */
export function webTls(host: string): TreeMap {
  return socket('UpstreamTlsContext', {
    sni: host,
    auto_sni_san_validation: note(
      'Without this line any site with a certificate could pose as this one.',
      true,
    ),
    max_session_keys: 0,
    common_tls_context: {
      tls_params: versions,
      validation_context: note("The host's own list of authorities; elsewhere on some systems.", {
        trusted_ca: { filename: '/etc/ssl/certs/ca-certificates.crt' },
      }),
    },
  });
}

function ownSvid({ spiffeId }: BootstrapOptions, source: Shared): Tree {
  return [
    note('The SVID to present, by its SPIFFE ID.', {
      name: spiffeId.toString(),
      sds_config: source,
    }),
  ];
}

function peers(why: string, ids: readonly SpiffeId[], trust: string, source: Shared): TreeMap {
  return {
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: note(
          why,
          ids.map((id) => ({ san_type: 'URI', matcher: { exact: id.toString() } })),
        ),
      },
      validation_context_sds_secret_config: note(meaningOf(trust), {
        name: trust,
        sds_config: source,
      }),
    },
  };
}

function meaningOf(trust: string): string {
  if (trust === 'ROOTCA') return 'ROOTCA: the own trust domain alone.';
  if (trust === 'ALL')
    return 'ALL: the own trust domain and those that the entry federates with, each trusted for its own SPIFFE IDs only.';
  return 'This trust domain alone.';
}

function socket(type: string, more: TreeMap): TreeMap {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${type}`,
      ...more,
    },
  };
}
