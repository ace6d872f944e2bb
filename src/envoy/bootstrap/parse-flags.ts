import { parseEnvoyVersion } from '../../authz/rbac/index.ts';
import { formatDuration, parseDurationMs } from '../../ops/index.ts';
import { messageOf, quote, SpiffeId, TrustDomain, TrustplaneError } from '../../spiffe/index.ts';
import type { BootstrapOptions, CheckServer, Inbound, Outbound } from './bootstrap-options.ts';
import { parseJwtProviders } from './jwt-provider.ts';
import { isName, isOnHost, type Place, parsePlace, parseSocket } from './place.ts';

export type Authz = 'none' | 'check' | 'rbac' | 'rbac+check';

/** What `trustplane envoy bootstrap` was told; undefined is what was not said. */
export interface BootstrapFlags {
  readonly spiffeId: string;
  readonly role: 'server' | 'client' | 'both';
  readonly agentSocket: string;
  readonly admin: string;
  readonly maxConnectionDuration: string;
  readonly listen?: string;
  readonly upstream?: string;
  readonly callerId?: readonly string[];
  readonly egress?: string;
  readonly peer?: string;
  readonly peerId?: readonly string[];
  readonly authz?: Authz;
  readonly authzSocket?: string;
  readonly authzId?: string;
  readonly policyName?: string;
  readonly jwtProvider?: readonly string[];
  readonly trust?: string;
  readonly tcp?: boolean;
  readonly ads?: boolean;
  readonly sotw?: boolean;
  readonly accessLog?: string;
  readonly nodeId?: string;
  readonly envoyVersion?: string;
}

const inboundFlags = [
  'listen',
  'upstream',
  'callerId',
  'authz',
  'authzSocket',
  'authzId',
  'policyName',
  'jwtProvider',
  'accessLog',
] as const;
const outboundFlags = ['egress', 'peer', 'peerId'] as const;
const MIN_AGE_MS = 1_000;
const MAX_AGE_MS = 86_400_000;
const MAX_NODE_ID_CHARACTERS = 2_048;
const MAX_POLICY_NAME_CHARACTERS = 1_024;
const TEXT = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}]+$/u;

/** @throws TrustplaneError ERR_USAGE, and what SPIFFE IDs and trust domains are refused with */
export function parseBootstrapFlags(flags: BootstrapFlags): BootstrapOptions {
  if (flags.role === 'client') refuse(flags, inboundFlags, 'server or both');
  if (flags.role === 'server') refuse(flags, outboundFlags, 'client or both');
  const inbound = flags.role === 'client' ? undefined : parseInbound(flags);
  const outbound = flags.role === 'server' ? undefined : parseOutbound(flags);
  const admin = flags.admin === 'none' ? undefined : parseListener('--admin', flags.admin, true);
  refuseSameAddress({
    '--listen': inbound?.listen,
    '--egress': outbound?.listen,
    '--admin': admin,
  });
  const spiffeId = workloadId('--spiffe-id', flags.spiffeId);
  return {
    spiffeId,
    nodeId: text('--node-id', flags.nodeId ?? spiffeId.toString(), MAX_NODE_ID_CHARACTERS),
    trust: parseTrust(flags.trust ?? (isAuthorized(inbound) ? 'ALL' : 'ROOTCA')),
    isTcp: flags.tcp === true,
    agentSocket: parseSocket('--agent-socket', flags.agentSocket).path,
    protocol: flags.sotw === true ? 'sotw' : 'delta',
    isAggregated: flags.ads === true,
    accessLog: parseAccessLog(flags.accessLog ?? 'stdout'),
    admin,
    maxConnectionSeconds: parseAge(flags.maxConnectionDuration) / 1_000,
    envoyVersion:
      flags.envoyVersion === undefined ? undefined : parseEnvoyVersion(flags.envoyVersion),
    inbound,
    outbound,
  };
}

function parseInbound(flags: BootstrapFlags): Inbound {
  const { authzSocket, policyName, callerId = [] } = flags;
  const authz = flags.authz ?? defaultAuthz(flags);
  checkAuthz(authz, flags);
  const asks = authz === 'check' || authz === 'rbac+check';
  if (!asks && (authzSocket ?? flags.authzId) !== undefined)
    throw usage(
      `--authz ${authz} asks nobody: --authz-socket and --authz-id belong to check and rbac+check`,
    );
  return {
    listen: parseListener('--listen', flags.listen ?? '0.0.0.0:8443', false),
    application: parsePlace('--upstream', flags.upstream ?? '127.0.0.1:8080'),
    callerIds: callerId.map((id) => workloadId('--caller-id', id)),
    hasRules: authz === 'rbac' || authz === 'rbac+check',
    check: asks ? parseCheckServer(authz, flags) : undefined,
    policyName:
      policyName === undefined
        ? undefined
        : text('--policy-name', policyName, MAX_POLICY_NAME_CHARACTERS),
    jwtProviders: parseJwtProviders(flags.jwtProvider ?? []),
  };
}

/**
 * With someone to ask both: what Envoy can decide it decides without a hop, and rules that it cannot run still
 * hold. With nobody to ask the rules alone, which deny what they are not sure of.
 */
function defaultAuthz({ authzSocket, tcp }: BootstrapFlags): Authz {
  if (authzSocket === undefined) return 'rbac';
  return tcp === true ? 'check' : 'rbac+check';
}

function checkAuthz(
  authz: Authz,
  { tcp, callerId = [], policyName, jwtProvider }: BootstrapFlags,
): void {
  if (authz === 'none') {
    if (callerId.length === 0)
      throw usage('--authz none lets whoever may connect do everything: say who with --caller-id');
    if ((policyName ?? jwtProvider) !== undefined)
      throw usage(
        '--policy-name and --jwt-provider are for policies, which --authz none has none of',
      );
  }
  if (tcp !== true) return;
  if (authz === 'rbac+check')
    throw usage(
      '--authz rbac+check is for HTTP: with --tcp a connection is decided about once, by rbac or by check',
    );
  if (authz === 'check' && policyName !== undefined)
    throw usage(
      '--policy-name cannot be told to Check with --tcp: Envoy sends no context extensions then',
    );
  if (jwtProvider !== undefined)
    throw usage('--jwt-provider is for HTTP: with --tcp there are no tokens');
}

function parseCheckServer(authz: Authz, { authzSocket, authzId }: BootstrapFlags): CheckServer {
  if (authzSocket === undefined) throw usage(`--authz ${authz} takes --authz-socket: where to ask`);
  const place = parsePlace('--authz-socket', authzSocket);
  if (place.kind === 'socket' && authzId !== undefined)
    throw usage('--authz-id belongs to a host and port: there is no TLS on a Unix socket');
  if (!isOnHost(place) && authzId === undefined)
    throw usage(
      '--authz-socket beyond this host takes --authz-id: the SPIFFE ID of who answers there',
    );
  return { place, spiffeId: authzId === undefined ? undefined : workloadId('--authz-id', authzId) };
}

function parseOutbound({ egress, peer, peerId = [], role }: BootstrapFlags): Outbound {
  if (peer === undefined || peerId.length === 0)
    throw usage(
      `--role ${role} takes --peer, the address of the server, and --peer-id, who it must be`,
    );
  return {
    listen: parseListener('--egress', egress ?? '127.0.0.1:8081', true),
    peer: parsePlace('--peer', peer),
    peerIds: peerId.map((id) => workloadId('--peer-id', id)),
  };
}

function parseListener(flag: string, value: string, staysOnHost: boolean): Place {
  const place = parsePlace(flag, value);
  if (isName(place))
    throw usage(
      `${flag} is an IP address and port; Envoy does not resolve where it listens; got ${quote(value)}`,
    );
  if (staysOnHost && !isOnHost(place))
    throw usage(
      `${flag} is a loopback address or a Unix socket: whoever reaches it has the rights of this Envoy; got ${quote(value)}`,
    );
  return place;
}

function refuseSameAddress(places: Readonly<Record<string, Place | undefined>>): void {
  const seen = new Map<string, string>();
  for (const [flag, place] of Object.entries(places)) {
    if (place === undefined) continue;
    const key = place.kind === 'socket' ? place.path : `${place.port}`;
    const other = seen.get(key);
    if (other !== undefined) throw usage(`${other} and ${flag} are the same port or socket`);
    seen.set(key, flag);
  }
}

function isAuthorized(inbound: Inbound | undefined): boolean {
  return inbound !== undefined && (inbound.hasRules || inbound.check !== undefined);
}

/** The name of a validation context over SDS. */
function parseTrust(value: string): string {
  if (value === 'ALL' || value === 'ROOTCA') return value;
  if (/^(?:all|rootca)$/iu.test(value))
    throw usage(`--trust is ALL or ROOTCA in capitals, or a trust domain; got ${quote(value)}`);
  const name = value.startsWith('spiffe://') ? value.slice('spiffe://'.length) : value;
  try {
    return TrustDomain.parse(name).id;
  } catch (error) {
    throw usage(`--trust is ALL, ROOTCA or a trust domain: ${messageOf(error)}`);
  }
}

function parseAge(value: string): number {
  const ms = ofFlag('--max-connection-duration', () => parseDurationMs(value));
  if (ms >= MIN_AGE_MS && ms <= MAX_AGE_MS) return ms;
  throw usage(
    `--max-connection-duration is ${formatDuration(MIN_AGE_MS)} to ${formatDuration(MAX_AGE_MS)}, at most the lifetime of SVIDs; got ${quote(value)}`,
  );
}

function parseAccessLog(value: string): string {
  if (value === 'stdout' || value === 'none' || (value.startsWith('/') && TEXT.test(value)))
    return value;
  throw usage(`--access-log is stdout, none or the absolute path of a file; got ${quote(value)}`);
}

function workloadId(flag: string, value: string): SpiffeId {
  const id = ofFlag(flag, () => SpiffeId.parse(value));
  if (id.isTrustDomainId)
    throw usage(`${flag} names a workload; ${quote(value)} is a trust domain`);
  return id;
}

/** What is wrong with a value says of which flag it is. */
function ofFlag<T>(flag: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TrustplaneError)) throw error;
    throw new TrustplaneError(error.code, `${flag}: ${error.message}`);
  }
}

function text(flag: string, value: string, maxCharacters: number): string {
  if (TEXT.test(value) && value.length <= maxCharacters) return value;
  throw usage(
    `${flag} has 1 to ${maxCharacters} characters without control characters; got ${quote(value)}`,
  );
}

function refuse(
  flags: BootstrapFlags,
  names: readonly (keyof BootstrapFlags)[],
  roles: string,
): void {
  const given = names.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  const flag = given.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`);
  throw usage(`--${flag} belongs to --role ${roles}`);
}

function usage(message: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', message);
}
