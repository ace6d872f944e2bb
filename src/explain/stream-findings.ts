import { type ResourceReport, SpiffeId, type StreamReport } from '../spiffe/index.ts';
import { type Finding, finding, instantText, shellWord } from './finding.ts';
import type { EntryFacts, Situation } from './situation.ts';

/** Envoy answers within milliseconds. */
const PATIENCE_MS = 5_000;
const MAX_NAMES = 20;
const TOKEN_METHOD = 'FetchJWTSVID';

/** What the streams of the process ask for and do not have. */
export function explainStreams(
  situation: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  const { question, streams } = situation;
  const seen = new Set<string>();
  const found: Finding[] = [];
  for (const stream of streams.filter(({ ended }) => ended === undefined)) {
    for (const resource of stream.resources) {
      if (question.resourceName !== undefined && resource.name !== question.resourceName) continue;
      if (resource.state === 'waiting' && resource.type !== 'Secret') continue;
      const key = `${resource.state} ${resource.name}`;
      if (seen.has(key) || seen.size >= MAX_NAMES) continue;
      seen.add(key);
      found.push(...explainResource(resource, stream, situation, matches));
    }
  }
  const { resourceName } = question;
  const isAsked = [...seen].some((key) => key.endsWith(` ${resourceName}`));
  if (resourceName === undefined) return [...found, ...explainTokens(streams)];
  return isAsked ? found : explainWaiting(resourceName, situation, matches);
}

/** The last JWT-SVID that was asked for in vain. */
function explainTokens(streams: readonly StreamReport[]): readonly Finding[] {
  const last = streams.findLast(
    ({ service, ended }) => service === TOKEN_METHOD && ended !== undefined,
  );
  if (last === undefined) return [];
  const [audience] = last.resources;
  const what = audience === undefined ? '' : ` for the audience ${audience.name}`;
  const message = `pid ${last.pid} asked for a JWT-SVID${what} at ${instantText(last.openedAt)}, and got none: ${last.ended}`;
  const flag = shellWord(audience?.name ?? 'AUDIENCE');
  return [
    finding('jwt-refused', message, `trustplane api fetch jwt --audience ${flag}, as the workload`),
  ];
}

function explainResource(
  resource: ResourceReport,
  stream: StreamReport,
  situation: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  const { name, state, refusal = '', at } = resource;
  const who = stream.node === '' ? `pid ${stream.pid}` : `Envoy ${stream.node}`;
  if (state === 'refused') {
    const message = `${who} refused ${name} and keeps what it had: ${refusal}`;
    return [
      finding('nack', message, 'trustplane envoy lint FILE, with the configuration of that Envoy'),
    ];
  }
  if (state === 'sent' && at !== undefined && situation.now - at > PATIENCE_MS) {
    const message = `${who} was sent ${name} at ${instantText(at)}, and has not answered since`;
    return [
      finding(
        'not-acked',
        message,
        'curl the admin interface of that Envoy: /certs and /config_dump',
      ),
    ];
  }
  return state === 'waiting' ? explainWaiting(name, situation, matches) : [];
}

/** Why a name has nothing to be sent. */
function explainWaiting(
  name: string,
  situation: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  if (situation.secretNames.includes(name)) return explainAll(name, situation, matches);
  const id = tryParse(name);
  if (id === undefined) {
    const known = situation.secretNames.join(', ');
    const message = `${JSON.stringify(name)} is no SPIFFE ID, nor one of ${known}; it waits in silence`;
    return [
      finding(
        'name-unknown',
        message,
        `name a SPIFFE ID, or one of ${known}, in the Envoy configuration`,
      ),
    ];
  }
  return id.isTrustDomainId
    ? explainBundle(id.trustDomain.name, situation, matches)
    : explainName(name, situation, matches);
}

/** `ALL` and its like lack what entries federate with and is not here. */
function explainAll(
  name: string,
  { bundles, secretNames }: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  if (name !== secretNames.at(-1)) return [];
  return matches.flatMap(({ entry }) =>
    entry.federatesWith
      .filter((domain) => !bundles.has(domain.name))
      .map((domain) => unknownBundle(domain.name)),
  );
}

function unknownBundle(domain: string): Finding {
  const message = `an entry federates with ${domain}, whose bundle is not known here`;
  return finding(
    'bundle-unknown',
    message,
    `trustplane federation show ${domain}; trustplane federation refresh ${domain}`,
  );
}

function explainBundle(
  domain: string,
  { ownTrustDomain, bundles }: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  const [match] = matches;
  // Without an identity there is nothing; why is said of the entries.
  if (domain === ownTrustDomain || match === undefined) return [];
  const federates = matches.some(({ entry }) =>
    entry.federatesWith.some(({ name }) => name === domain),
  );
  if (federates) return bundles.has(domain) ? [] : [unknownBundle(domain)];
  const { entry } = match;
  const message = `the bundle of ${domain} is asked for, and no entry of the process federates with it`;
  const all = [...entry.federatesWith.map(({ name }) => name), domain];
  const flags = all.map((each) => `--federates-with ${shellWord(each)}`).join(' ');
  return [
    finding('federation-missing', message, `trustplane entry update ${entry.id} ${flags}`, entry),
  ];
}

function explainName(
  name: string,
  { entries }: Situation,
  matches: readonly EntryFacts[],
): readonly Finding[] {
  if (matches.some(({ entry }) => entry.spiffeId.toString() === name)) return [];
  const standing = entries.filter(
    ({ entry, gone }) => entry.spiffeId.toString() === name && gone === undefined,
  );
  const held = standing.find(({ svid }) => (svid?.holders ?? 0) > 0);
  const [own] = matches;
  if (held !== undefined) {
    const message = `${name} is served to another workload of this host; this process is not entitled to it`;
    const next =
      own === undefined
        ? `trustplane entry show ${held.entry.id}`
        : `ask for ${own.entry.spiffeId.toString()} instead, or change entry ${held.entry.id}`;
    return [finding('name-of-another', message, next, held.entry)];
  }
  if (standing.length > 0) return [];
  const message = `${name} is asked for, and nobody of this host is entitled to it; it waits in silence`;
  const next =
    own === undefined
      ? `trustplane entry create --spiffe-id ${shellWord(name)} --selector …`
      : `trustplane entry create --spiffe-id ${shellWord(name)} --selector …, or ask for ${own.entry.spiffeId.toString()}`;
  return [finding('name-nobody', message, next)];
}

function tryParse(name: string): SpiffeId | undefined {
  try {
    return SpiffeId.parse(name);
  } catch {
    return undefined;
  }
}
