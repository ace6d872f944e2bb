import type { MatchInput } from './matcher.ts';

const PREFIX = 'type.googleapis.com/';
const NETWORK_INPUTS = `${PREFIX}envoy.extensions.matching.common_inputs.network.v3`;
const MATCHERS = `${PREFIX}envoy.extensions.matching.input_matchers`;

/** Of which filter a tree is. */
export type RbacTarget = 'http' | 'network';

type Typed = 'action' | 'ip' | 'metadata' | 'cel' | 'attributes' | 'dynamicMetadata';

/** What Envoy calls the messages that a tree is made of. */
export const typeUrls: Readonly<Record<RbacTarget | Typed, string>> = {
  http: `${PREFIX}envoy.extensions.filters.http.rbac.v3.RBAC`,
  network: `${PREFIX}envoy.extensions.filters.network.rbac.v3.RBAC`,
  action: `${PREFIX}envoy.config.rbac.v3.Action`,
  ip: `${MATCHERS}.ip.v3.Ip`,
  metadata: `${MATCHERS}.metadata.v3.Metadata`,
  cel: `${PREFIX}xds.type.matcher.v3.CelMatcher`,
  attributes: `${PREFIX}xds.type.matcher.v3.HttpAttributesCelMatchInput`,
  dynamicMetadata: `${NETWORK_INPUTS}.DynamicMetadataInput`,
};

/** What Envoy calls an input, and the one text that it is told by, if any. */
export interface InputType {
  readonly typeUrl: string;
  readonly field?: { readonly name: string; readonly text: string };
}

export function inputType(input: MatchInput, target: RbacTarget): InputType {
  switch (input.kind) {
    case 'uri-san':
      return { typeUrl: `${PREFIX}envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput` };
    case 'path':
      return filterState('tp.path');
    case 'serial':
      return filterState('tp.serial');
    case 'header':
      return {
        typeUrl: `${PREFIX}envoy.type.matcher.v3.HttpRequestHeaderMatchInput`,
        field: { name: 'header_name', text: input.name },
      };
    case 'source-ip':
      // What Envoy has for requests is what x-forwarded-for says, or who sends the PROXY protocol.
      return target === 'http'
        ? filterState('tp.source')
        : { typeUrl: `${NETWORK_INPUTS}.SourceIPInput` };
    case 'destination-ip':
      return { typeUrl: `${NETWORK_INPUTS}.DestinationIPInput` };
    default:
      return { typeUrl: `${NETWORK_INPUTS}.DestinationPortInput` };
  }
}

function filterState(key: string): InputType {
  return { typeUrl: `${NETWORK_INPUTS}.FilterStateInput`, field: { name: 'key', text: key } };
}
