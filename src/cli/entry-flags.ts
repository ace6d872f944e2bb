import { type Command, Option } from 'commander';
import type { EntryMessage, SpiffeIdMessage } from '../client/index.ts';
import { formatSelector, knownSelectorTypes, parseSelector, SpiffeId } from '../spiffe/index.ts';
import type { Io } from './io.ts';
import { type AdminOptions, collect, instantSeconds, ttlSeconds } from './options.ts';

export interface EntryFlags extends AdminOptions {
  readonly entryId?: string;
  readonly spiffeId?: string;
  readonly parentId?: string;
  readonly node?: boolean;
  readonly selector?: readonly string[];
  readonly x509SvidTtl?: number;
  readonly jwtSvidTtl?: number;
  readonly federatesWith?: readonly string[];
  readonly dns?: readonly string[];
  readonly hint?: string;
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly storeSvid?: boolean;
  readonly jwtSvidIncludeJti?: boolean;
  readonly expiresAt?: number;
}

export interface EntryFilter extends AdminOptions {
  readonly entryId?: string;
  readonly spiffeId?: string;
  readonly parentId?: string;
  readonly selector?: readonly string[];
  readonly match: MatchBehavior;
  readonly federatesWith?: readonly string[];
  readonly hint?: string;
  readonly downstream?: boolean;
}

type MatchBehavior = 'exact' | 'subset' | 'superset' | 'any';

export function withFields(command: Command): Command {
  return command
    .option(
      '--entry-id <id>',
      'id of the entry (create: derived from parent, SPIFFE ID and selectors unless given)',
    )
    .option('--spiffe-id <id>', 'the SPIFFE ID the workload gets')
    .option(
      '--parent-id <id>',
      'agent, node alias or entry below which it applies (create: the agent in "trustplane up" unless given; there is none in "server run")',
    )
    .option(
      '--node',
      'make a node alias: the parent is the server and the selectors are those of agents',
    )
    .option(
      '--selector <type:value>',
      'a fact the workload must show, for example unix:uid:1000 (repeatable; all must hold)',
      collect,
    )
    .option(
      '--x509-svid-ttl <duration>',
      "life of the X509-SVID, for example 30m or seconds (0: the server's default)",
      ttlSeconds,
    )
    .option('--jwt-svid-ttl <duration>', "life of JWT-SVIDs (0: the server's default)", ttlSeconds)
    .option(
      '--federates-with <trust-domain>',
      'foreign trust domain whose bundle the workload gets too (repeatable)',
      collect,
    )
    .option('--dns <name>', 'DNS SAN of the X509-SVID (repeatable)', collect)
    .option('--hint <text>', 'tells the workload how to use the SVID')
    .option('--admin', 'the workload may use the server API')
    .option('--downstream', 'the workload is a downstream server and may get a CA')
    .option('--store-svid', 'the SVID is for an SVID store')
    .option(
      '--jwt-svid-include-jti',
      'JWT-SVIDs carry a jti and are not cached, so each is another one',
    )
    .option(
      '--expires-at <instant>',
      'the entry ends then: RFC 3339 or Unix seconds',
      instantSeconds,
    );
}

export function withFilter(command: Command): Command {
  return command
    .option('--entry-id <id>', 'id of the entry')
    .option('--spiffe-id <id>', 'entries with this SPIFFE ID')
    .option('--parent-id <id>', 'entries below this parent')
    .option(
      '--selector <type:value>',
      'entries with these selectors (repeatable; see --match)',
      collect,
    )
    .addOption(
      new Option('--match <how>', 'how --selector and --federates-with compare')
        .choices(['exact', 'subset', 'superset', 'any'])
        .default('superset'),
    )
    .option(
      '--federates-with <trust-domain>',
      'entries that federate with these trust domains (repeatable)',
      collect,
    )
    .option('--hint <text>', 'entries with this hint')
    .option('--downstream', 'downstream entries');
}

/** The fields that flags name, checked before anything is sent. Warns of selectors that look like a slip. */
export function buildMessage(flags: EntryFlags, io: Io): EntryMessage {
  const selectors = flags.selector?.map(parseSelector);
  const strange = selectors?.filter(({ type }) => !knownSelectorTypes.includes(type)) ?? [];
  if (strange.length > 0) {
    const texts = strange.map(formatSelector).join(', ');
    io.err(`warning: no attestor of trustplane or SPIRE makes the selector ${texts}\n`);
  }
  return definedOnly({
    id: flags.entryId,
    spiffe_id: flags.spiffeId === undefined ? undefined : idMessage(flags.spiffeId),
    parent_id: flags.parentId === undefined ? undefined : idMessage(flags.parentId),
    selectors,
    x509_svid_ttl: flags.x509SvidTtl,
    jwt_svid_ttl: flags.jwtSvidTtl,
    federates_with: flags.federatesWith,
    dns_names: flags.dns,
    hint: flags.hint,
    admin: flags.admin,
    downstream: flags.downstream,
    store_svid: flags.storeSvid,
    additional_attributes:
      flags.jwtSvidIncludeJti === undefined
        ? undefined
        : { jwt_svid_include_jti: flags.jwtSvidIncludeJti },
    expires_at: flags.expiresAt,
  });
}

function definedOnly(
  message: { readonly [F in keyof EntryMessage]: EntryMessage[F] | undefined },
): EntryMessage {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined));
}

export function buildFilter(filter: EntryFilter): object {
  const match = `MATCH_${filter.match.toUpperCase()}`;
  const { selector, federatesWith, hint, downstream } = filter;
  return {
    by_spiffe_id: filter.spiffeId === undefined ? undefined : idMessage(filter.spiffeId),
    by_parent_id: filter.parentId === undefined ? undefined : idMessage(filter.parentId),
    by_selectors: selector && { selectors: selector.map(parseSelector), match },
    by_federates_with: federatesWith && { trust_domains: federatesWith, match },
    by_hint: hint === undefined ? undefined : { value: hint },
    by_downstream: downstream === undefined ? undefined : { value: downstream },
  };
}

function idMessage(text: string): SpiffeIdMessage {
  const id = SpiffeId.parse(text);
  return { trust_domain: id.trustDomain.name, path: id.path };
}
