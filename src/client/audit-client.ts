import type { LedgerFinding, LedgerVerification } from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';

const VERIFY_MS = 3_600_000;

/** Which records are wanted. Instants in milliseconds since the epoch. */
export interface AuditQuestion {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly kind?: string | undefined;
  readonly spiffeId?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly agentId?: string | undefined;
  readonly limit?: number | undefined;
  readonly follow?: boolean | undefined;
}

/** A line of the ledger, and where it stands. */
export interface AuditLine {
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

/** The audit ledger of a server, over its admin socket. Every call fails with a TrustplaneError. */
export interface AuditClient {
  show(question: AuditQuestion): AsyncIterable<AuditLine>;
  verify(): Promise<LedgerVerification>;
  /** The lines as they are. */
  export(question: Pick<AuditQuestion, 'since' | 'until'>): AsyncIterable<Uint8Array>;
  close(): void;
}

interface VerifyMessage {
  readonly findings?: readonly Partial<LedgerFinding>[];
  readonly files?: number;
  readonly records?: string;
  readonly bytes?: string;
  readonly first_sequence_number?: string;
  readonly first_at_ms?: string;
  readonly last_sequence_number?: string;
  readonly last_at_ms?: string;
  readonly last_hash?: string;
  readonly anchored?: boolean;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createAuditClient(socket: string): AuditClient {
  const { call, stream, close } = dialAdmin(socket);
  return {
    async *show(question) {
      const { since, until, kind, spiffeId, serialNumber, agentId, limit, follow } = question;
      const request = {
        since_ms: since,
        until_ms: until,
        kind,
        spiffe_id: spiffeId,
        serial_number: serialNumber,
        agent_id: agentId,
        limit,
        follow,
      };
      for await (const { json = '', file = '', line = 0 } of stream<{
        json?: string;
        file?: string;
        line?: number;
      }>('Audit', 'Show', request)) {
        yield { text: json, file, line };
      }
    },
    verify: async () =>
      buildVerification(await call<VerifyMessage>('Audit', 'Verify', {}, VERIFY_MS)),
    async *export({ since, until }) {
      const request = { since_ms: since, until_ms: until };
      for await (const { data } of stream<{ data?: Uint8Array }>('Audit', 'Export', request)) {
        if (data !== undefined) yield data;
      }
    },
    close,
  };
}

function buildVerification(message: VerifyMessage): LedgerVerification {
  const first = Number(message.first_sequence_number ?? 0);
  const last = Number(message.last_sequence_number ?? 0);
  return {
    findings: (message.findings ?? []).map(({ file = '', line = 0, what = '' }) => ({
      file,
      line,
      what,
    })),
    files: message.files ?? 0,
    records: Number(message.records ?? 0),
    bytes: Number(message.bytes ?? 0),
    first:
      first === 0 ? undefined : { sequenceNumber: first, at: Number(message.first_at_ms ?? 0) },
    last:
      last === 0
        ? undefined
        : {
            sequenceNumber: last,
            at: Number(message.last_at_ms ?? 0),
            hash: message.last_hash ?? '',
          },
    isAnchored: message.anchored ?? false,
  };
}
