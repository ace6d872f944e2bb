import type {
  PolicyAgentView,
  PolicyServerView,
  PolicyStatusView,
  PolicyVersionView,
} from '../client/index.ts';
import { formatFields, formatTable } from './table.ts';

const SHORT = 12;

/** Somebody who does not have the present version in force, and why. */
export interface Behind {
  readonly id: string;
  readonly name: string;
  readonly connected: boolean;
  /** behind or refused. */
  readonly state: string;
  readonly why: string;
}

/** Such as `version 3 (web and api split, by root (uid 0))`. */
export function describeVersion({ version, digest, author }: PolicyVersionView): string {
  return `version ${version} (digest ${digest.slice(0, SHORT)}, by ${formatAuthor(author)})`;
}

/** Such as `repaired: follows version 3, 2 in between are lost`. */
export function describeRepair({ version, follows }: PolicyVersionView): string {
  const before = follows === null || follows === 0 ? 'follows none' : `follows version ${follows}`;
  const lost = version - 1 - (follows ?? 0);
  return lost === 0 ? `repaired: ${before}` : `repaired: ${before}, ${lost} in between are lost`;
}

function formatAuthor(author: PolicyVersionView['author']): string {
  if ('spiffeId' in author) return author.spiffeId;
  return author.name === null ? `uid ${author.uid}` : `${author.name} (uid ${author.uid})`;
}

/** Agents, and other servers that do not say what theirs have. */
export function listBehind({ agents, servers, version }: PolicyStatusView): readonly Behind[] {
  return version === null ? [] : [...agentsBehind(agents), ...serversBehind(servers)];
}

function serversBehind(servers: PolicyStatusView['servers']): readonly Behind[] {
  return servers
    .filter(({ live, current, unnamedBehind }) => live && (!current || unnamedBehind > 0))
    .map(({ id, current, unnamedBehind }) => ({
      id: `server ${id}`,
      name: '-',
      connected: true,
      state: 'behind',
      why: current
        ? `${unnamedBehind} more agents do not have it`
        : 'has not said what its agents have of this version',
    }));
}

function agentsBehind(agents: readonly PolicyAgentView[]): readonly Behind[] {
  return agents.flatMap(({ id, connected, takers, since }) => {
    const gone = connected ? '' : `away since ${since}; `;
    if (takers.length === 0)
      return [
        { id, name: '-', connected, state: 'behind', why: `${gone}has not said what it has` },
      ];
    return takers
      .filter(({ state }) => state !== 'in-force')
      .map(({ name, state, version: held, fault }) => {
        const has = held === null ? 'nothing is in force' : `has version ${held}`;
        const why = state === 'refused' ? (fault ?? 'it does not say why') : `${gone}${has}`;
        return { id, name, connected, state, why };
      });
  });
}

export function formatHistory(versions: readonly PolicyVersionView[]): string {
  if (versions.length === 0) return 'no policies';
  return formatTable(
    ['Version', 'Made', 'By', 'Says', 'Files', 'Rules', 'Digest', 'Reason'],
    versions.map((one) => [
      String(one.version),
      one.createdAt,
      formatAuthor(one.author),
      one.claimedAuthor ?? '-',
      String(one.files),
      String(one.rules),
      one.digest.slice(0, SHORT),
      notesOf(one),
    ]),
  );
}

function notesOf(version: PolicyVersionView): string {
  const { reason, restores, skippedTests, follows } = version;
  const notes = [
    ...(restores === null ? [] : [`restores ${restores}`]),
    ...(skippedTests ? ['tests skipped'] : []),
    ...(follows === null ? [] : [describeRepair(version)]),
  ];
  return notes.length === 0 ? reason : `${reason} [${notes.join(', ')}]`;
}

const NOBODY = `Nothing here is in force anywhere: hosts take these policies with "authz.policies: { from: control-plane }".
Those that go by files show them with "trustplane status", or "status --agent".`;

export function formatStatus(status: PolicyStatusView): string {
  const { version, fault, agents, servers } = status;
  const behind = listBehind(status);
  const own = agents.filter(({ server }) => server === status.server).length;
  const count = servers.reduce((sum, { connected, away }) => sum + connected + away, own);
  const head = formatFields([
    ['version', version === null ? 'none' : String(version.version)],
    ['digest', version?.digest ?? ''],
    ['since', version?.createdAt ?? ''],
    ['by', version === null ? '' : formatAuthor(version.author)],
    ['reason', version?.reason ?? ''],
    ['fault', fault ?? ''],
    ['server', status.server],
    ...servers.map((server): [string, string] => ['', describeServer(server)]),
    ['agents', `${count} take policies, ${behind.length} not at this version`],
  ]);
  if (count === 0) return `${head}\n\n${NOBODY}`;
  if (agents.length === 0) return head;
  const table = formatTable(
    ['Agent', 'Server', 'Who', 'State', 'Version', 'Digest', 'Since', 'Connected'],
    agents.flatMap(rowsOf),
  );
  const reasons = behind.map(({ id, name, why }) => `${id} (${name}): ${why}`);
  return [head, '', table, ...(reasons.length === 0 ? [] : ['', ...reasons])].join('\n');
}

function describeServer({ id, live, connected, away, inForce }: PolicyServerView): string {
  if (!live) return `${id}: gone`;
  return `${id}: ${connected} agents connected, ${away} away, in force at ${inForce}`;
}

function rowsOf({ id, server, connected, takers, since }: PolicyAgentView): readonly string[][] {
  const link = connected ? 'yes' : `no, since ${since}`;
  if (takers.length === 0) return [[id, server, '-', 'behind', '-', '-', '-', link]];
  return takers.map(({ name, state, version, digest, since: from }) => [
    id,
    server,
    name,
    state || '-',
    version === null ? '-' : String(version),
    digest?.slice(0, SHORT) ?? '-',
    from ?? '-',
    link,
  ]);
}
