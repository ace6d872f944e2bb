import type { SerialHolder } from '../spiffe/index.ts';
import { revocationText, suspensionText } from './agent-findings.ts';
import type { Explanation } from './explain.ts';
import { type Finding, finding, instantText } from './finding.ts';
import type { RevocationFacts, SuspensionFacts } from './situation.ts';
import type { Fact } from './situation-facts.ts';

/** What is known of one certificate; instants in milliseconds since the epoch. */
export interface SerialSituation {
  readonly now: number;
  /** Hex. */
  readonly serialNumber: string;
  /** Who got it; undefined: the ledger of this server does not know. */
  readonly holder: SerialHolder | undefined;
  readonly revocation: RevocationFacts | undefined;
  /** Of its holder. */
  readonly suspension: SuspensionFacts | undefined;
}

/** Who got a certificate, and whether it is refused. Pure. */
export function explainSerial(situation: SerialSituation): Explanation {
  const found = explainStanding(situation);
  const verdict = found.code === 'serial-good' ? 'entitled' : 'refused';
  const subject = `serial number ${situation.serialNumber}`;
  return { subject, verdict, findings: [found], facts: factsOf(situation) };
}

function explainStanding({ now, serialNumber, holder, revocation }: SerialSituation): Finding {
  const who = holder === undefined ? '' : ` of ${holder.spiffeId}`;
  const of = { entryId: holder?.entryId ?? '', spiffeId: holder?.spiffeId ?? '' };
  if (revocation !== undefined) {
    const message = `the SVID${who} is revoked: ${revocationText(revocation)}`;
    return { ...finding('serial-revoked', message, 'trustplane revocation list'), ...of };
  }
  if (holder === undefined) {
    const message = `the audit ledger of this server does not have ${serialNumber}`;
    const next = `trustplane audit show --serial ${serialNumber}, on the other servers`;
    return finding('serial-unknown', message, next);
  }
  const end = instantText(holder.expiresAt);
  if (holder.expiresAt <= now)
    return { ...finding('serial-expired', `the SVID${who} expired at ${end}`, ''), ...of };
  const next = `trustplane revoke --serial ${serialNumber}, if it is in wrong hands`;
  return { ...finding('serial-good', `the SVID${who} is good until ${end}`, next), ...of };
}

function factsOf({ now, holder, suspension }: SerialSituation): readonly Fact[] {
  const facts: Fact[] = [];
  if (holder !== undefined) {
    const { spiffeId, entryId, agentId, purpose, issuedAt, expiresAt } = holder;
    const entry = entryId === undefined ? '' : `, of the entry ${entryId}`;
    const agent = agentId === undefined ? '' : `, got by ${agentId}`;
    const text = `issued to ${spiffeId} (${purpose})${entry}${agent}, until ${instantText(expiresAt)}`;
    facts.push({ source: 'ledger', text, at: issuedAt });
  }
  if (suspension !== undefined) {
    const text = `the ${suspension.kind} ${suspension.value} is suspended ${suspensionText(suspension)}`;
    facts.push({ source: 'server', text, at: now });
  }
  return facts;
}
