import type { BootstrapOptions, Inbound } from './bootstrap-options.ts';
import { note, type Shared, type Tree, type TreeMap } from './commented-tree.ts';

type Kind = 'rbac' | 'rbac-before-check' | 'network-rbac';

/** The state that rules go by beside what Envoy's matchers see themselves. */
interface FilterState {
  readonly key: string;
  readonly format: string;
  readonly why: string;
}

/**
 * The certificate's serial number as Envoy prints it: lower-case hex of whole bytes (`05`, `0a1b`; zero is
 * `0`), `-` without a certificate.
 */
const serial: FilterState = {
  key: 'tp.serial',
  format: '%DOWNSTREAM_PEER_SERIAL%',
  why: "The serial number of the caller's certificate, for revocations.",
};

/** `:PATH` in it is what counts: without it Envoy takes x-envoy-original-path, which callers may send. */
const path: FilterState = {
  key: 'tp.path',
  format: '%PATH(NQ:PATH)%',
  why: 'The path without its query. ":PATH" matters: without it a caller says another path in x-envoy-original-path.',
};

/** What runs before the rules, so that they see one reading of a request. */
export function httpAttributes(): TreeMap {
  return attributes('http', { on_request_headers: [path, serial].map(stateOf) });
}

/**
 * In front of HTTP too: of a request Envoy's own matchers see what x-forwarded-for says, or who sends the PROXY
 * protocol, and not where the connection comes from, which Check is told.
 */
const source: FilterState = {
  key: 'tp.source',
  format: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  why: 'Where the connection comes from, whatever its requests say.',
};

export function sourceAttributes(): TreeMap {
  return attributes('network', { on_new_connection: [stateOf(source)] });
}

export function connectionAttributes(): TreeMap {
  return attributes('network', { on_downstream_tls_handshake: [stateOf(serial)] });
}

function attributes(layer: 'http' | 'network', more: TreeMap): TreeMap {
  const type = `type.googleapis.com/envoy.extensions.filters.${layer}.set_filter_state.v3.Config`;
  return { name: 'tp-attrs', typed_config: { '@type': type, ...more } };
}

function stateOf({ key, format, why }: FilterState): Tree {
  return note(why, {
    object_key: key,
    factory_key: 'envoy.string',
    format_string: { text_format_source: { inline_string: format } },
  });
}

/** The filter that runs the rules of the service, kept up to date over ECDS. */
export function rulesFilter(options: BootstrapOptions, inbound: Inbound, source: Shared): TreeMap {
  const kind = kindOf(options, inbound);
  const layer = kind === 'network-rbac' ? 'network' : 'http';
  const type = `type.googleapis.com/envoy.extensions.filters.${layer}.rbac.v3.RBAC`;
  return {
    name: note(
      'The name says which rules: kind, and whose. They change while Envoy runs.',
      resourceName(kind, options, inbound),
    ),
    config_discovery: {
      type_urls: [type],
      default_config: note(untilThen[kind], {
        '@type': type,
        stat_prefix: layer === 'network' ? 'tp_' : undefined,
        matcher: { on_no_match: { action: firstAction(kind) } },
      }),
      apply_default_config_without_warming: note(
        'Without this line the listener is closed until the rules are there.',
        true,
      ),
      config_source: source,
    },
  };
}

const untilThen: Readonly<Record<Kind, string>> = {
  rbac: 'Until the rules are there, and when they are taken away: nobody.',
  'rbac-before-check': 'Until the rules are there, and when they are taken away: all is for Check.',
  'network-rbac': 'Until the rules are there, and when they are taken away: nobody.',
};

function firstAction(kind: Kind): TreeMap {
  const isForCheck = kind === 'rbac-before-check';
  const name = isForCheck ? 'ask_check' : 'policy_missing';
  const type = 'type.googleapis.com/envoy.config.rbac.v3.Action';
  const action = isForCheck ? 'ALLOW' : 'DENY';
  return { name, typed_config: { '@type': type, name, action } };
}

function kindOf({ isTcp }: BootstrapOptions, { check }: Inbound): Kind {
  if (isTcp) return 'network-rbac';
  return check === undefined ? 'rbac' : 'rbac-before-check';
}

function resourceName(kind: Kind, { spiffeId }: BootstrapOptions, { policyName }: Inbound): string {
  return `trustplane.${kind}:${spiffeId.toString()}${policyName === undefined ? '' : `?policy=${policyName}`}`;
}
