import type { ErrorCode } from '../spiffe/index.ts';
import { revocationText } from './agent-findings.ts';
import { type Finding, finding, instantText } from './finding.ts';
import type { FindingCode } from './finding-codes.ts';
import type { EntryFacts, Situation, SvidStanding } from './situation.ts';

/** Whether there is an SVID of an entry that the process is entitled to. */
export function explainSvid(facts: EntryFacts, situation: Situation): readonly Finding[] {
  const { entry, svid, revocation } = facts;
  const { process, streams, question } = situation;
  const id = entry.spiffeId.toString();
  if (question.place === 'server') {
    const message = `entry ${entry.id} gives ${id}; whether it is served, the agent knows`;
    return [
      finding(
        'entitled',
        message,
        `trustplane explain --spiffe-id ${id}, on the host of the agent`,
        entry,
      ),
      ...(revocation === undefined
        ? []
        : [
            finding(
              'revoked-before',
              revocationText(revocation),
              'trustplane revocation list',
              entry,
            ),
          ]),
    ];
  }
  const isAsked = process === undefined || streams.some(({ ended }) => ended === undefined);
  if (svid === undefined || !isAsked) return [notAsked(facts, situation)];
  if (svid.state !== 'served') return [explainLack(facts, svid, situation)];
  const until = svid.expiresAt === undefined ? '' : `, valid until ${instantText(svid.expiresAt)}`;
  const served = finding('served', `entry ${entry.id} gives ${id}${until}`, '', entry);
  if (svid.failures === 0) return [served];
  const message = `the SVID of ${id} is good${until}, but could not be renewed: ${svid.error}`;
  return [served, finding('renewal-failing', message, nextOf(codeOf(svid.errorCode)), entry)];
}

function notAsked({ entry, svid }: EntryFacts, { process }: Situation): Finding {
  const id = entry.spiffeId.toString();
  const who = process === undefined ? 'no workload of this host' : `process ${process.pid}`;
  const message =
    process === undefined
      ? `entry ${entry.id} gives ${id}; ${who} that shows its selectors asks for it`
      : `${who} is entitled to ${id} by entry ${entry.id}${svid?.state === 'served' ? ', whose SVID is here' : ''}, and has no stream open`;
  return finding(
    'not-asked',
    message,
    'trustplane api fetch x509, as the workload; or point it at the socket of this agent',
    entry,
  );
}

function explainLack(
  { entry, revocation }: EntryFacts,
  svid: SvidStanding,
  { now }: Situation,
): Finding {
  const id = entry.spiffeId.toString();
  if (svid.isStaged) {
    const message = `an SVID of ${id} is here, but the bundle does not have its authority yet`;
    return finding('authority-unknown', message, nextOf('authority-unknown'), entry);
  }
  if (svid.failures > 0) {
    const code = codeOf(svid.errorCode);
    const again =
      svid.nextAttemptAt > now ? `; tried again at ${instantText(svid.nextAttemptAt)}` : '';
    const what = svid.errorCode === undefined ? '' : ` (${svid.errorCode})`;
    const message = `no SVID of ${id} after ${svid.failures} attempts: ${svid.error}${what}${again}`;
    return finding(code, message, nextOf(code), entry);
  }
  if (revocation !== undefined) {
    const reason = revocation.reason === '' ? '' : `: ${revocation.reason}`;
    const message = `what was issued to ${id} before ${instantText(revocation.issuedBefore)} is revoked${reason}; another is on its way`;
    return finding('svid-revoked', message, 'trustplane revocation list, on the server', entry);
  }
  const message = `an SVID of ${id} has been asked for and has not come yet`;
  return finding(
    'svid-pending',
    message,
    'ask again in some seconds; trustplane status --agent',
    entry,
  );
}

/** What the last failure means. */
function codeOf(error: ErrorCode | undefined): FindingCode {
  switch (error) {
    case 'ERR_API_RATE_LIMIT':
    case 'ERR_REMOTE_BUSY':
      return 'rate-limited';
    case 'ERR_SVID_SUSPENDED':
      return 'id-suspended';
    case 'ERR_SVID_REVOKED':
      return 'svid-revoked';
    case 'ERR_SVID_AUTHORITY':
      return 'authority-unknown';
    case 'ERR_CA_EXPIRED':
    case 'ERR_CA_CLOCK':
    case 'ERR_CA_KEY_MISSING':
      return 'authority-expired';
    case 'ERR_NODE_UNREACHABLE':
    case 'ERR_NODE_SERVER':
    case 'ERR_NODE_NO_IDENTITY':
    case 'ERR_SVID_ISSUE':
      return 'server-unreachable';
    default:
      return 'issuance-refused';
  }
}

function nextOf(code: FindingCode): string {
  switch (code) {
    case 'rate-limited':
      return 'raise server.rateLimits.signing on the server, or wait for the next attempt';
    case 'id-suspended':
      return 'trustplane revocation list, on the server';
    case 'svid-revoked':
      return 'trustplane revocation list, on the server';
    case 'authority-unknown':
      return 'trustplane authority x509 show, on the server; trustplane status --agent';
    case 'authority-expired':
      return 'trustplane authority x509 show, on the server';
    case 'server-unreachable':
      return 'trustplane status --agent';
    default:
      return 'look the code up in docs/reference/errors.md; the log of the server has it with the entry';
  }
}
