import {
  crlLimits,
  type IssuedRecord,
  issueInstant,
  type Revocation,
  revocationIndexKey,
} from '../spiffe/index.ts';
import { type CrlEntry, type CrlReason, crlReasons } from './crl-writer.ts';

/** What this server signed, as its ledger has it. */
export interface IssuedSource {
  /**
   * Certificates that were signed at that instant or later, milliseconds since the epoch; at least those in whose
   * record one of `names` stands, SPIFFE IDs and IDs of entries.
   */
  issuedSince(instant: number, names: readonly string[]): AsyncIterable<IssuedRecord>;
}

/** What a CRL is to name. */
export interface NamedSerials {
  readonly entries: readonly CrlEntry[];
  /** How many there was no room for: those that end first. */
  readonly omitted: number;
}

interface Found extends CrlEntry {
  readonly authorityId: string;
  readonly expiresAt: number;
}

interface Read {
  readonly issuedBefore: number;
  /** When the ledger was read for it first; undefined: once more, after all that was under way. */
  readonly since: number | undefined;
}

const MAX_FOUND = 100_000;
/** By then what was being signed when a revocation came is in the ledger. */
const SETTLED_MS = 10_000;
const RECORDS_PER_TURN = 1_000;

/** Which certificates of this server revocations mean: a revocation of an ID means many. */
export class RevokedSerials {
  readonly #ledger: IssuedSource | undefined;
  /** By revocation. */
  readonly #read = new Map<string, Read>();
  /** By serial number. */
  readonly #found = new Map<string, Found>();

  /** Without a ledger only revocations of serial numbers are known to mean any. */
  constructor(ledger: IssuedSource | undefined) {
    this.#ledger = ledger;
  }

  /** Whether the ledger is to be read again although nothing changes. */
  get isSettled(): boolean {
    return [...this.#read.values()].every(({ since }) => since === undefined);
  }

  /**
   * Reads the ledger from `from` on for revocations that it was not read for.
   * @throws what the ledger throws; then they are for next time
   */
  async update(revocations: readonly Revocation[], from: number, now: number): Promise<void> {
    for (const [serial, { expiresAt }] of this.#found) {
      if (expiresAt <= now) this.#found.delete(serial);
    }
    const ids = new Set(revocations.map(({ id }) => id));
    for (const id of this.#read.keys()) if (!ids.has(id)) this.#read.delete(id);
    const due = revocations.filter((each) => this.#isDue(each, now));
    if (due.length === 0 || this.#ledger === undefined) return;
    const names = due.map(({ value }) => value);
    await this.#search(this.#ledger.issuedSince(from, names), due, now);
    for (const { id, issuedBefore } of due) {
      const before = this.#read.get(id);
      const isAgain = before?.issuedBefore === issuedBefore;
      this.#read.set(id, { issuedBefore, since: isAgain ? undefined : now });
    }
  }

  /** What the CRL of one authority of this server is to name. */
  namedBy(authorityId: string, revocations: readonly Revocation[], now: number): NamedSerials {
    const found = [...this.#found.values()].filter(
      (each) => each.authorityId === authorityId && each.expiresAt > now,
    );
    // Whose it is does not matter: no two authorities give the same one.
    const direct = revocations.flatMap((each) => {
      const { kind, value, expiresAt } = each;
      return kind === 'serial' && expiresAt > now
        ? [{ ...entryOf(value, each), authorityId, expiresAt }]
        : [];
    });
    const all = [...found, ...direct].sort((one, other) => other.expiresAt - one.expiresAt);
    const omitted = Math.max(0, all.length - crlLimits.entries);
    return { entries: all.slice(0, crlLimits.entries), omitted };
  }

  #isDue({ id, kind, issuedBefore, expiresAt }: Revocation, now: number): boolean {
    if (kind === 'serial' || expiresAt <= now) return false;
    const read = this.#read.get(id);
    if (read?.issuedBefore !== issuedBefore) return true;
    return read.since !== undefined && now - read.since >= SETTLED_MS;
  }

  async #search(
    issued: AsyncIterable<IssuedRecord>,
    due: readonly Revocation[],
    now: number,
  ): Promise<void> {
    const index = new Map(due.map((each) => [revocationIndexKey(each), each]));
    let left = RECORDS_PER_TURN;
    for await (const record of issued) {
      if (--left === 0) {
        left = RECORDS_PER_TURN;
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (record.expiresAt <= now || this.#found.size >= MAX_FOUND) continue;
      const revocation = findIn(index, record);
      if (revocation === undefined) continue;
      const { serialNumber, authorityId, expiresAt } = record;
      if (this.#found.has(serialNumber)) continue;
      const entry = entryOf(serialNumber, revocation);
      this.#found.set(serialNumber, { ...entry, authorityId, expiresAt });
    }
  }
}

/** As agents judge it: by the instant in the serial number. */
function findIn(
  index: ReadonlyMap<string, Revocation>,
  { serialNumber, spiffeId, entryId, agentId, expiresAt }: IssuedRecord,
): Revocation | undefined {
  const issuedAt = issueInstant({ serialNumber, notBefore: 0, notAfter: expiresAt });
  const names = [
    revocationIndexKey({ kind: 'spiffe-id', value: spiffeId }),
    revocationIndexKey({ kind: 'agent', value: agentId ?? spiffeId }),
    ...(entryId === undefined ? [] : [revocationIndexKey({ kind: 'entry', value: entryId })]),
  ];
  for (const name of names) {
    const found = index.get(name);
    if (found !== undefined && issuedAt < found.issuedBefore) return found;
  }
  return undefined;
}

function entryOf(serialNumber: string, { issuedBefore, reason }: Revocation): CrlEntry {
  return { serialNumber, revokedAt: issuedBefore, reason: reasonOf(reason) };
}

/** A reason may begin with one of RFC 5280's; what is said otherwise is that the SVID is not to be used any more. */
function reasonOf(text: string): CrlReason {
  const [word = ''] = text.split(/[\s:,.;]/u, 1);
  return isReason(word) ? word : 'privilegeWithdrawn';
}

function isReason(word: string): word is CrlReason {
  return Object.hasOwn(crlReasons, word);
}
