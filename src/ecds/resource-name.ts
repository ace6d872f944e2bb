import { quote, SpiffeId, TrustplaneError } from '../spiffe/index.ts';

/** RBAC alone, RBAC in front of Check, or RBAC of TCP connections. */
export const extensionKinds = ['rbac', 'rbac-before-check', 'network-rbac'] as const;

/** What Envoy is to run. */
export type ExtensionKind = (typeof extensionKinds)[number];

/** The name of an extension configuration, and of the filter in Envoy that asks for it. */
export interface ResourceName {
  /** As the client wrote it. */
  readonly text: string;
  readonly kind: ExtensionKind;
  /** The service it is for; undefined: the caller's first identity. */
  readonly spiffeId: SpiffeId | undefined;
  /** The context extension that policies may name instead of an ID: 1 to 1024 characters. */
  readonly policy: string | undefined;
}

const PREFIX = 'trustplane.';
const POLICY = '?policy=';
const MAX_POLICY_CHARS = 1024;
const kinds: ReadonlyMap<string, ExtensionKind> = new Map(
  extensionKinds.map((kind) => [kind, kind]),
);

/**
 * Parses `trustplane.<kind>[:<SPIFFE ID>][?policy=<context extension>]`. Nothing is decoded: the
 * context extension is all that follows.
 * @throws TrustplaneError ERR_ECDS_NAME
 */
export function parseResourceName(text: string): ResourceName {
  if (!text.startsWith(PREFIX)) throw unknown(text, `does not begin with "${PREFIX}"`);
  // A SPIFFE ID has no "?".
  const mark = text.indexOf('?');
  const front = mark === -1 ? text : text.slice(0, mark);
  const colon = front.indexOf(':');
  const kind = kinds.get(front.slice(PREFIX.length, colon === -1 ? undefined : colon));
  if (kind === undefined) throw unknown(text, `the kind is none of ${[...kinds.keys()].join()}`);
  return {
    text,
    kind,
    spiffeId: colon === -1 ? undefined : parseService(text, front.slice(colon + 1)),
    policy: mark === -1 ? undefined : parsePolicy(text, text.slice(mark)),
  };
}

function parseService(text: string, id: string): SpiffeId {
  let parsed: SpiffeId;
  try {
    parsed = SpiffeId.parse(id);
  } catch (error) {
    throw unknown(text, 'what follows ":" is no SPIFFE ID', error);
  }
  if (parsed.isTrustDomainId) throw unknown(text, 'the SPIFFE ID is that of a trust domain');
  return parsed;
}

function parsePolicy(text: string, part: string): string {
  const policy = part.slice(POLICY.length);
  if (part.startsWith(POLICY) && policy !== '' && policy.length <= MAX_POLICY_CHARS) return policy;
  throw unknown(
    text,
    `"?" is followed by "policy=" and a name of at most ${MAX_POLICY_CHARS} characters`,
  );
}

function unknown(text: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_ECDS_NAME',
    `an extension configuration is called trustplane.<kind>[:<SPIFFE ID>][?policy=<name>]; got ${quote(text)}: ${why}`,
    { cause },
  );
}
