/** State that rules go by beside what Envoy's matchers see themselves. */
interface FilterState {
  readonly key: string;
  readonly format: string;
  readonly why: string;
}

/** `:PATH` in it is what counts: without it Envoy takes x-envoy-original-path, which callers may send. */
const path: FilterState = {
  key: 'tp.path',
  format: '%PATH(NQ:PATH)%',
  why: 'The path without its query. ":PATH" matters: without it a caller says another path in x-envoy-original-path.',
};

/**
 * The certificate's serial number as Envoy prints it: lower-case hex of whole bytes (`05`, `0a1b`; zero is
 * `0`), `-` without a certificate.
 */
const serial: FilterState = {
  key: 'tp.serial',
  format: '%DOWNSTREAM_PEER_SERIAL%',
  why: "The serial number of the caller's certificate, for revocations.",
};

/**
 * What Envoy's own matchers see of a request is what x-forwarded-for says, or who sends the PROXY protocol, and not
 * where the connection comes from, which Check is told.
 */
const source: FilterState = {
  key: 'tp.source',
  format: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%',
  why: 'Where the connection comes from, whatever its requests say.',
};

interface FilterPlace {
  readonly layer: 'http' | 'network';
  readonly event: string;
  readonly states: readonly FilterState[];
}

/** What is written when: of each request, of a connection after its handshake, of one that has just come. */
const filters: Readonly<Record<'request' | 'connection' | 'source', FilterPlace>> = {
  request: { layer: 'http', event: 'on_request_headers', states: [path, serial] },
  connection: { layer: 'network', event: 'on_downstream_tls_handshake', states: [serial] },
  source: { layer: 'network', event: 'on_new_connection', states: [source] },
};

/** A state as the filter is told of it. */
export type StateEntry = {
  readonly object_key: string;
  readonly factory_key: string;
  readonly format_string: { readonly text_format_source: { readonly inline_string: string } };
};

export type AttributeFilter<Entry> = {
  readonly name: string;
  readonly typed_config: Readonly<Record<string, string | readonly Entry[]>>;
};

/**
 * The filter that writes what rules behind it go by; `source` stands before the manager of HTTP. `entryOf`: how
 * each state is put, such as with a comment that says why.
 */
export function attributeFilter<Entry>(
  of: 'request' | 'connection' | 'source',
  entryOf: (entry: StateEntry, why: string) => Entry,
): AttributeFilter<Entry> {
  const { layer, event, states } = filters[of];
  const type = `type.googleapis.com/envoy.extensions.filters.${layer}.set_filter_state.v3.Config`;
  const entries = states.map(({ key, format, why }) =>
    entryOf(
      {
        object_key: key,
        factory_key: 'envoy.string',
        format_string: { text_format_source: { inline_string: format } },
      },
      why,
    ),
  );
  return { name: 'tp-attrs', typed_config: { '@type': type, [event]: entries } };
}
