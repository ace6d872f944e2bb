import { attributeFilter } from '../../authz/rbac/index.ts';
import type { BootstrapOptions, Inbound } from './bootstrap-options.ts';
import { note, type Shared, type TreeMap } from './commented-tree.ts';

type Kind = 'rbac' | 'rbac-before-check' | 'network-rbac';

/** What runs before the rules, so that they see one reading of a request. */
export function attributesOf(of: Parameters<typeof attributeFilter>[0]): TreeMap {
  return attributeFilter(of, (entry, why) => note(why, entry));
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
