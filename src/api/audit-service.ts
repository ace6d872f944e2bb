import type { ServerWritableStream } from '@grpc/grpc-js';
import {
  type AuditEvent,
  auditEventKinds,
  type LedgerVerification,
  quote,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';
import { writePaced } from './write-paced.ts';

const MAX_LIMIT = 10_000;
/** What may wait for a slow reader of what comes. */
const MAX_WAITING = 10_000;
const CHUNK_BYTES = 65_536;

interface Filter {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly kind?: AuditEvent['kind'] | undefined;
  readonly spiffeId?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly agentId?: string | undefined;
}

interface LedgerLine {
  readonly sequenceNumber: number;
  readonly at: number;
  readonly event: AuditEvent;
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

/** What is asked of the ledger. */
export interface AuditSource {
  read(filter: Filter): AsyncIterable<LedgerLine>;
  isWanted(filter: Filter, record: LedgerLine): boolean;
  watch(listener: (records: readonly LedgerLine[]) => void): () => void;
  verify(): Promise<LedgerVerification>;
}

interface ShowRequest {
  readonly since_ms?: string;
  readonly until_ms?: string;
  readonly spiffe_id?: string;
  readonly serial_number?: string;
  readonly kind?: string;
  readonly agent_id?: string;
  readonly limit?: number;
  readonly follow?: boolean;
}

type ShowCall = ServerWritableStream<ShowRequest, object>;
type ExportCall = ServerWritableStream<Pick<ShowRequest, 'since_ms' | 'until_ms'>, object>;

/** trustplane.audit.v1.Audit; to be guarded. */
export function createAuditService(ledger: AuditSource): GrpcService {
  return {
    definition: loadService('trustplane/audit/v1/audit.proto', 'trustplane.audit.v1.Audit'),
    implementation: {
      Show: (call: ShowCall): unknown => show(ledger, call),
      Verify: unary(async () => buildVerification(await ledger.verify())),
      Export: (call: ExportCall): unknown => exportLines(ledger, call),
    },
  };
}

async function show(ledger: AuditSource, call: ShowCall): Promise<void> {
  const { limit = 0, follow = false } = call.request;
  const filter = parseFilter(call.request);
  if (limit > MAX_LIMIT) throw invalid(`limit: expected at most ${MAX_LIMIT}; got ${limit}`);
  using news = follow ? new News(ledger, filter, call) : undefined;
  let seen = 0;
  const send = async (record: LedgerLine): Promise<void> => {
    const { text, file, line } = record;
    seen = record.sequenceNumber;
    await writePaced(call, { json: text, file, line });
  };
  const found = ledger.read(filter);
  for await (const record of limit === 0 ? found : await lastOf(found, limit)) {
    if (call.cancelled) return;
    await send(record);
  }
  for await (const record of news?.records() ?? []) {
    if (record.sequenceNumber > seen) await send(record);
  }
  call.end();
}

/** What is recorded while a call lasts. */
class News {
  readonly #waiting: LedgerLine[] = [];
  readonly #call: ShowCall;
  readonly #stop: () => void;
  #wake: () => void = () => {};

  constructor(ledger: AuditSource, filter: Filter, call: ShowCall) {
    this.#call = call;
    call.on('cancelled', () => this.#wake());
    this.#stop = ledger.watch((records) => {
      // One more says that it was too many.
      if (this.#waiting.length <= MAX_WAITING) {
        this.#waiting.push(...records.filter((record) => ledger.isWanted(filter, record)));
      }
      this.#wake();
    });
  }

  async *records(): AsyncGenerator<LedgerLine, void, undefined> {
    while (!this.#call.cancelled) {
      if (this.#waiting.length > MAX_WAITING) {
        const message = `more than ${MAX_WAITING} records wait for a reader that is too slow`;
        throw new TrustplaneError('ERR_AUDIT_READ', message);
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      yield* this.#waiting.splice(0);
      if (this.#waiting.length === 0 && !this.#call.cancelled) await promise;
    }
  }

  [Symbol.dispose](): void {
    this.#stop();
  }
}

async function lastOf(
  records: AsyncIterable<LedgerLine>,
  limit: number,
): Promise<readonly LedgerLine[]> {
  let last: LedgerLine[] = [];
  for await (const record of records) {
    last.push(record);
    if (last.length >= 2 * limit) last = last.slice(-limit);
  }
  return last.slice(-limit);
}

async function exportLines(ledger: AuditSource, call: ExportCall): Promise<void> {
  let lines: string[] = [];
  let length = 0;
  const flush = async (): Promise<void> => {
    await writePaced(call, { data: Buffer.from(lines.join('')) });
    lines = [];
    length = 0;
  };
  for await (const { text } of ledger.read(parseFilter(call.request))) {
    if (call.cancelled) return;
    lines.push(`${text}\n`);
    length += text.length;
    if (length >= CHUNK_BYTES) await flush();
  }
  if (lines.length > 0) await flush();
  call.end();
}

function buildVerification(checked: LedgerVerification): object {
  const { findings, files, records, bytes, first, last, isAnchored } = checked;
  return {
    findings,
    files,
    records,
    bytes,
    first_sequence_number: first?.sequenceNumber ?? 0,
    first_at_ms: first?.at ?? 0,
    last_sequence_number: last?.sequenceNumber ?? 0,
    last_at_ms: last?.at ?? 0,
    last_hash: last?.hash ?? '',
    anchored: isAnchored,
  };
}

/** @throws TrustplaneError ERR_AUDIT_FILTER */
function parseFilter(request: ShowRequest): Filter {
  const { kind = '', spiffe_id = '', serial_number = '', agent_id = '' } = request;
  const known = auditEventKinds.find((name) => name === kind);
  if (kind !== '' && known === undefined) {
    throw invalid(`kind: expected one of ${auditEventKinds.join(', ')}; got ${quote(kind)}`);
  }
  if (!/^(?:[0-9A-Fa-f]{1,128})?$/u.test(serial_number)) {
    throw invalid(`serial_number: expected hex digits; got ${quote(serial_number)}`);
  }
  return {
    since: instantOf(request.since_ms),
    until: instantOf(request.until_ms),
    kind: known,
    spiffeId: spiffe_id === '' ? undefined : spiffe_id,
    serialNumber: serial_number === '' ? undefined : serial_number.toLowerCase(),
    agentId: agent_id === '' ? undefined : agent_id,
  };
}

function instantOf(ms: string = '0'): number | undefined {
  return ms === '0' ? undefined : Number(ms);
}

function invalid(message: string): TrustplaneError {
  return new TrustplaneError('ERR_AUDIT_FILTER', message);
}
