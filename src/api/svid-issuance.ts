import { setImmediate } from 'node:timers/promises';
import type { X509Ca } from '../ca/index.ts';
import type { AuthorizedEntries } from '../entries/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import {
  type AuditLog,
  type Clock,
  type Csr,
  messageOf,
  parseCsr,
  type RegistrationEntry,
  type SpiffeId,
  TrustplaneError,
  type X509IssuanceEvent,
} from '../spiffe/index.ts';
import { requireAuthorizedEntry } from './authorized-entry.ts';
import { type IssuanceReason, x509Issuance } from './issuance-event.ts';

/** Bounds of one issuance call. */
export const issuanceLimits = {
  batch: 1000,
  /** Items signed together, before others get their turn. */
  turn: 16,
} as const;

/** One X509-SVID that an agent asks for. */
interface SvidRequest {
  readonly entryId: string;
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
}

interface IssuedSvid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Signed, and not in the ledger yet. */
interface Issued extends IssuedSvid {
  readonly event: X509IssuanceEvent;
}

interface Refused {
  readonly error: TrustplaneError;
}

/** The SVID, or why there is none. */
type SvidResult = IssuedSvid | Refused;

export interface SvidIssuanceOptions {
  /** The live closure of an agent; undefined for one that is not attested now. */
  readonly authorizedEntriesOf: (agentId: SpiffeId) => Pick<AuthorizedEntries, 'get'> | undefined;
  /** Of what an agent was attested with; undefined for one that is not attested. */
  readonly attestationDigestOf: (agentId: SpiffeId) => string | undefined;
  readonly ca: Pick<X509Ca, 'issueX509Svid'>;
  readonly audit: AuditLog;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Issues X509-SVIDs to agents. */
export interface SvidIssuance {
  /**
   * One result for each request, in order. The identity is the entry's, never the request's: an SVID
   * comes out only if the agent is authorized for the entry at the moment of signing, and only when it is in the
   * ledger: ERR_AUDIT_WRITE instead of those that could not be recorded.
   * @throws TrustplaneError ERR_SVID_BATCH
   */
  issue(agentId: SpiffeId, requests: readonly SvidRequest[]): Promise<readonly SvidResult[]>;
}

export function createSvidIssuance(options: SvidIssuanceOptions): SvidIssuance {
  const { ca, log, metrics } = options;
  const issued = metrics.counter('trustplane_api_svids_total', 'X509-SVIDs issued to agents.');
  const refused = metrics.counter(
    'trustplane_api_svid_refusals_total',
    'X509-SVIDs refused to agents, by error code.',
    ['code'],
  );

  async function issueOne(
    agentId: SpiffeId,
    { entryId, csr }: SvidRequest,
    common: Pick<IssuanceReason, 'attestationDigest' | 'requester'>,
  ): Promise<Issued> {
    const { publicKey, uriSans } = parseCsr(csr);
    // Asked for last, so that nothing lies between the answer and the signature.
    const entry = requireAuthorizedEntry(options.authorizedEntriesOf, agentId, entryId);
    checkUriSans(uriSans, entry);
    const svid = await ca.issueX509Svid({
      spiffeId: entry.spiffeId,
      publicKey,
      ttlSeconds: entry.x509SvidTtlSeconds,
      dnsNames: entry.dnsNames,
      ...(entry.expiresAt !== undefined && { notAfterLimit: entry.expiresAt }),
    });
    const { spiffeId } = entry;
    const { certificateChain, notBefore, expiresAt, serialNumber } = svid;
    log.debug(
      { agentId: agentId.toString(), entryId, spiffeId: spiffeId.toString(), serialNumber },
      'SVID issued',
    );
    const reason: IssuanceReason = { ...common, spiffeId, entry, purpose: 'workload' };
    return {
      spiffeId,
      certificateChain,
      notBefore,
      expiresAt,
      event: x509Issuance(reason, svid, options.clock.now()),
    };
  }

  /** One write for all that one turn has signed. */
  async function recorded(
    agentId: SpiffeId,
    requests: readonly SvidRequest[],
    results: readonly (Issued | Refused)[],
  ): Promise<readonly SvidResult[]> {
    const signed = results.filter((result) => 'event' in result);
    try {
      await options.audit.record(signed.map(({ event }) => event));
      issued.inc(signed.length);
      return results.map((result) => ('event' in result ? withoutEvent(result) : result));
    } catch (error) {
      return results.map((result, index) =>
        'event' in result ? refusal(agentId, requests[index]?.entryId ?? '', error) : result,
      );
    }
  }

  function refusal(agentId: SpiffeId, entryId: string, error: unknown): Refused {
    const known = error instanceof TrustplaneError;
    const told = known
      ? error
      : new TrustplaneError('ERR_INTERNAL', 'signing failed', { cause: error });
    refused.inc({ code: told.code });
    log.warn(
      { agentId: agentId.toString(), entryId, code: told.code, error: messageOf(error) },
      'SVID refused',
    );
    return { error: told };
  }

  async function issueOrRefuse(
    agentId: SpiffeId,
    request: SvidRequest,
    common: Pick<IssuanceReason, 'attestationDigest' | 'requester'>,
  ): Promise<Issued | Refused> {
    try {
      return await issueOne(agentId, request, common);
    } catch (error) {
      return refusal(agentId, request.entryId, error);
    }
  }

  return {
    async issue(agentId, requests) {
      checkBatch(requests.length);
      const common = {
        attestationDigest: options.attestationDigestOf(agentId),
        requester: { kind: 'agent', spiffeId: agentId.toString() },
      } as const;
      const turns: Promise<readonly SvidResult[]>[] = [];
      for (let begin = 0; begin < requests.length; begin += issuanceLimits.turn) {
        if (begin > 0) await setImmediate();
        const turn = requests.slice(begin, begin + issuanceLimits.turn);
        const results = await Promise.all(
          turn.map((request) => issueOrRefuse(agentId, request, common)),
        );
        // The next turn signs while this one is written.
        turns.push(recorded(agentId, turn, results));
      }
      return (await Promise.all(turns)).flat();
    },
  };
}

function withoutEvent({ spiffeId, certificateChain, notBefore, expiresAt }: Issued): IssuedSvid {
  return { spiffeId, certificateChain, notBefore, expiresAt };
}

/** A request may name the entry's own ID, as SPIRE's agent does, or none. */
function checkUriSans(uriSans: Csr['uriSans'], { spiffeId }: RegistrationEntry): void {
  const [uri = spiffeId.toString(), ...more] = uriSans;
  if (more.length === 0 && uri === spiffeId.toString()) return;
  const got = JSON.stringify(uriSans.slice(0, 3).map((text) => text.slice(0, 200)));
  throw new TrustplaneError(
    'ERR_SVID_CSR_ID',
    `the request: expected no URI SAN or ${spiffeId.toString()} alone; got ${got}`,
  );
}

function checkBatch(count: number): void {
  if (count <= issuanceLimits.batch) return;
  throw new TrustplaneError(
    'ERR_SVID_BATCH',
    `the batch: expected at most ${issuanceLimits.batch} requests; got ${count}`,
  );
}
