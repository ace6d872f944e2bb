import { compareAge, SpiffeId } from '../spiffe/index.ts';
import { explainAgent } from './agent-findings.ts';
import { explainGaps, explainMatch } from './entry-findings.ts';
import { type Finding, finding, ranked, shellWord, weightOf } from './finding.ts';
import { explainAttestors, explainProcess } from './process-findings.ts';
import type { EntryFacts, Situation } from './situation.ts';
import { type Fact, listFacts } from './situation-facts.ts';
import { explainStreams } from './stream-findings.ts';

/** `entitled`: as far as a server knows. `unknown`: nothing in the way was found. */
export type Verdict = 'served' | 'waiting' | 'refused' | 'entitled' | 'unknown';

export interface Explanation {
  readonly subject: string;
  readonly verdict: Verdict;
  /** What explains most comes first. */
  readonly findings: readonly Finding[];
  readonly facts: readonly Fact[];
}

/** More would not help anybody. */
const MAX_NEAR = 3;

/** What follows from what is known. Pure. */
export function explain(situation: Situation): Explanation {
  const barred = explainProcess(situation);
  const wanted = wantedId(situation);
  const candidates = situation.entries.filter(
    ({ entry }) => wanted === undefined || entry.spiffeId.toString() === wanted,
  );
  const matches = barred.length > 0 ? [] : withoutStale(candidates.filter(isMatch)).sort(byAge);
  const own = barred.length > 0 ? [] : situation.entries.filter(isMatch).filter(isLive).sort(byAge);
  const ofEntries = matches.flatMap((facts) => explainMatch(facts, situation));
  const isServed = ofEntries.some(({ code }) => code === 'served');
  const findings = [
    ...barred,
    ...explainAgent(situation).filter(({ code }) => !isServed || code === 'agent-suspended'),
    ...ofEntries,
    ...explainDoubles(matches.filter(isLive)),
    ...(barred.length > 0 ? [] : explainStreams(situation, own)),
    ...(barred.length > 0 || matches.length > 0
      ? []
      : explainAbsence(situation, candidates, wanted)),
    ...explainServer(situation, isServed),
  ];
  const all = ranked(withoutRepetition(findings));
  return {
    subject: situation.subject,
    verdict: verdictOf(all, situation),
    findings: all,
    facts: listFacts(situation),
  };
}

function wantedId({ question: { spiffeId, resourceName } }: Situation): string | undefined {
  if (spiffeId !== undefined) return spiffeId;
  return resourceName !== undefined && isIdOfWorkload(resourceName) ? resourceName : undefined;
}

function isIdOfWorkload(name: string): boolean {
  try {
    return !SpiffeId.parse(name).isTrustDomainId;
  } catch {
    return false;
  }
}

function isMatch({ gaps }: EntryFacts): boolean {
  return gaps.length === 0;
}

/** It would be served, were it not for SVIDs. */
function isLive({ gone, chain, suspension, entry }: EntryFacts): boolean {
  return (
    gone === undefined && chain?.reaches !== false && suspension === undefined && !entry.storeSvid
  );
}

/** What is gone, or elsewhere, explains nothing where another stands. */
function withoutStale(matches: readonly EntryFacts[]): EntryFacts[] {
  if (!matches.some(isLive)) return [...matches];
  return matches.filter(({ gone, chain }) => gone === undefined && chain?.reaches !== false);
}

function byAge(one: EntryFacts, other: EntryFacts): number {
  return compareAge(one.entry, other.entry);
}

function explainDoubles(matches: readonly EntryFacts[]): readonly Finding[] {
  const found: Finding[] = [];
  const ids = new Map<string, EntryFacts>();
  const hints = new Map<string, EntryFacts>();
  for (const facts of matches) {
    const { entry } = facts;
    const id = entry.spiffeId.toString();
    const first = ids.get(id);
    if (first === undefined) ids.set(id, facts);
    else {
      const message = `entries ${first.entry.id} and ${entry.id} both give ${id}; by its name Envoy gets that of the oldest, ${first.entry.id}`;
      found.push(
        finding(
          'duplicate-entries',
          message,
          `trustplane entry delete ${entry.id}, if it is not needed`,
          entry,
        ),
      );
    }
    if (entry.hint === '') continue;
    const holder = hints.get(entry.hint);
    if (holder === undefined) hints.set(entry.hint, facts);
    else {
      const message = `entries ${holder.entry.id} and ${entry.id} have the hint ${JSON.stringify(entry.hint)}; the oldest, ${holder.entry.id}, keeps it`;
      found.push(
        finding(
          'hint-shadowed',
          message,
          `trustplane entry update ${entry.id} --hint OTHER`,
          entry,
        ),
      );
    }
  }
  return found;
}

/** Nothing matches: what is near, or that nothing is. */
function explainAbsence(
  situation: Situation,
  candidates: readonly EntryFacts[],
  wanted: string | undefined,
): readonly Finding[] {
  const near = candidates
    .filter(({ gone, gaps }) => gaps.length > 0 && gone === undefined)
    .slice(0, MAX_NEAR);
  const types = new Set(
    near.flatMap(({ gaps }) => gaps.map(({ wanted: text }) => text.split(':')[0] ?? '')),
  );
  const attestors = explainAttestors(situation, near.length === 0 ? undefined : types);
  if (near.length > 0) return [...attestors, ...near.flatMap(explainGaps)];
  return [...attestors, explainNothing(situation, wanted)];
}

function explainNothing(situation: Situation, wanted: string | undefined): Finding {
  const { question, selectors = [] } = situation;
  const agentId = situation.agent?.agentId;
  const shown = selectors.map((text) => ` --selector ${shellWord(text)}`).join('');
  const parent = agentId === undefined ? '' : ` --parent-id ${agentId}`;
  if (wanted === undefined) {
    const some =
      selectors.find((text) => text.startsWith('unix:uid:')) ?? selectors[0] ?? 'unix:uid:…';
    const message = 'no entry that is known here is near what the process shows';
    return finding(
      'no-entry',
      message,
      `trustplane entry create --spiffe-id spiffe://${situation.ownTrustDomain}/…${parent} --selector ${shellWord(some)}`,
    );
  }
  if (question.place === 'server') {
    return finding(
      'no-entry-for-id',
      `no entry gives ${wanted}`,
      `trustplane entry create --spiffe-id ${shellWord(wanted)}${parent}${shown === '' ? ' --selector …' : shown}`,
    );
  }
  const agent = agentId === undefined ? '' : ` --agent ${agentId}`;
  const message = `no entry that this agent may serve gives ${wanted}`;
  return finding(
    'no-entry-for-id',
    message,
    `trustplane explain --spiffe-id ${shellWord(wanted)}${agent}${shown}, on the server`,
  );
}

function explainServer({ server }: Situation, isServed: boolean): readonly Finding[] {
  if (server.kind !== 'unable' || isServed) return [];
  const message =
    'the server does not offer explanations: what it has beyond this agent is not known';
  return [finding('server-cannot-say', message, 'spire-server entry show, on the server')];
}

function withoutRepetition(findings: readonly Finding[]): readonly Finding[] {
  const seen = new Set<string>();
  return findings.filter(({ code, message }) => {
    const key = `${code} ${message}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** That of what is asked for: a name that waits is not served, whatever else the process has. */
function verdictOf(findings: readonly Finding[], { question }: Situation): Verdict {
  const weights = findings.map(weightOf);
  const isOfName = question.resourceName !== undefined;
  if (weights.includes('served') && !(isOfName && weights.includes('waiting'))) return 'served';
  const first = weights.find((weight) => weight !== 'note' && weight !== 'served');
  return first ?? 'unknown';
}

/** Nobody is there who could be asked about. */
export function explainUnknown(
  code: 'container-unknown' | 'envoy-unknown',
  name: string,
): Explanation {
  const [message, next] =
    code === 'container-unknown'
      ? [`no process of this host is in a container ${name}`, 'docker ps --no-trunc, or crictl ps']
      : [
          `no stream of an Envoy that calls itself ${name} is open`,
          'compare with --service-node of the Envoy; does its cluster of the agent lead to this socket?',
        ];
  const findings = [finding(code, message, next)];
  return { subject: name, verdict: 'refused', findings, facts: [] };
}
