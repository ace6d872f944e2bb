import { formatSelector, type StreamReport } from '../spiffe/index.ts';
import { revocationText } from './agent-findings.ts';
import { instantText } from './finding.ts';
import type { EntryFacts, Situation } from './situation.ts';

/** One thing that is known, from whom, and when it was so. */
export interface Fact {
  /** An attestor, `agent`, `server`, or an Envoy. */
  readonly source: string;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number | undefined;
}

const MAX_NAMES = 20;

/** All that a finding may rest on, in the order in which it is looked at. */
export function listFacts(situation: Situation): readonly Fact[] {
  return [
    ...processFacts(situation),
    ...agentFacts(situation),
    ...serverFacts(situation),
    ...situation.entries.map((facts) => entryFact(facts, situation)),
    ...situation.streams.flatMap((stream) => streamFact(stream, situation.now)),
  ];
}

function processFacts({ process, selectors, now }: Situation): readonly Fact[] {
  if (process === undefined) {
    if (selectors === undefined) return [];
    return [{ source: 'question', text: `supposed: ${selectors.join(', ')}`, at: now }];
  }
  const { present, reports, at } = process;
  const who = present === undefined ? 'not there' : `user ${present.uid}, group ${present.gid}`;
  return [
    { source: 'kernel', text: `process ${process.pid}: ${who}`, at },
    ...reports.map(({ attestor, selectors: texts, fault, tookMs }) => ({
      source: `attestor ${attestor}`,
      text: `${fault === undefined ? texts.join(', ') || 'nothing' : `failed: ${fault}`} (${tookMs} ms)`,
      at,
    })),
  ];
}

function agentFacts({ agent, now }: Situation): readonly Fact[] {
  if (agent === undefined) return [];
  const {
    agentId = 'no SPIFFE ID',
    expiresAt,
    server,
    entries,
    updatedAt,
    faults,
    isLocal,
  } = agent;
  const until = expiresAt === undefined ? '' : `, valid until ${instantText(expiresAt)}`;
  const by = isLocal ? 'in the process of its server' : (server ?? 'no server in use');
  return [
    {
      source: 'agent',
      text: `${agentId}${until}; ${by}${entries === undefined ? '' : `; ${entries} entries`}`,
      at: updatedAt ?? now,
    },
    ...faults.map(({ code, message }) => ({
      source: 'agent',
      text: `${message} (${code})`,
      at: now,
    })),
  ];
}

function serverFacts({ server }: Situation): readonly Fact[] {
  switch (server.kind) {
    case 'self':
      return [];
    case 'told': {
      const { at, sentRevision, heldRevision, hasBacklog } = server;
      const sent =
        sentRevision === ''
          ? 'tells this agent nothing by itself'
          : `sent revision ${sentRevision}, the agent has ${heldRevision || 'none'}`;
      return [{ source: 'server', text: `${sent}${hasBacklog ? '; more is to be sent' : ''}`, at }];
    }
    case 'unable':
      return [{ source: 'server', text: 'offers no explanations', at: undefined }];
    default:
      return [
        {
          source: 'server',
          text: `was not asked: ${server.message} (${server.code})`,
          at: undefined,
        },
      ];
  }
}

function entryFact(facts: EntryFacts, { question, now }: Situation): Fact {
  const { entry, gaps, chain, svid, isHere, gone, revocation } = facts;
  const parts = [
    `entry ${entry.id}: ${entry.spiffeId.toString()} below ${entry.parentId.toString()} for ${entry.selectors.map(formatSelector).join(' + ')}, revision ${entry.revisionNumber}`,
    ...(gaps.length === 0 ? [] : [`missing: ${gaps.map(({ wanted }) => wanted).join(', ')}`]),
    ...(chain === undefined
      ? []
      : [`parents: ${chain.path.join(' < ')}${chain.reaches ? '' : ' (broken)'}`]),
    ...(gone === undefined ? [] : [`${gone.how} at ${instantText(gone.at)}`]),
    ...(revocation === undefined ? [] : [revocationText(revocation)]),
    ...(svid === undefined
      ? []
      : [`SVID ${svid.state}${svid.serialNumber === undefined ? '' : ` ${svid.serialNumber}`}`]),
  ];
  const source = isHere && question.place === 'agent' ? 'agent' : 'server';
  return { source, text: parts.join('; '), at: svid?.issuedAt ?? now };
}

function streamFact(
  { service, node, pid, openedAt, resources, ended }: StreamReport,
  now: number,
): readonly Fact[] {
  const named = resources
    .slice(0, MAX_NAMES)
    .map(
      ({ name, state, refusal }) =>
        `${name} ${state}${refusal === undefined ? '' : ` (${refusal})`}`,
    );
  const more = resources.length > MAX_NAMES ? `, and ${resources.length - MAX_NAMES} more` : '';
  const what = named.length === 0 ? 'nothing asked for by name' : `${named.join(', ')}${more}`;
  const source = node === '' ? `pid ${pid}` : `Envoy ${node}`;
  const end = ended === undefined ? '' : `; ended: ${ended}`;
  return [{ source, text: `${service} since ${instantText(openedAt)}: ${what}${end}`, at: now }];
}
