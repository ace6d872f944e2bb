import { statSync } from 'node:fs';
import path from 'node:path';
import {
  type LedgerFilter,
  type LocatedRecord,
  parseRecord,
  readHead,
  readStored,
  type Verification,
  verifyFile,
  verifyLedger,
} from '../audit/index.ts';
import { openDataDir } from '../ops/index.ts';
import { type AuditEvent, messageOf, TrustplaneError } from '../spiffe/index.ts';
import { auditPlace } from './state-files.ts';

/** A ledger that no server has open: of a data directory, a folder of its files, or one file of exported lines. */
export type StoredAudit =
  | { readonly dataDir: string }
  | { readonly folder: string }
  | { readonly file: string };

/** Of a data directory both ends are compared with the head record. @throws TrustplaneError ERR_DATA_DIR*, ERR_AUDIT_NONE, ERR_AUDIT_READ, ERR_FILE_* */
export async function verifyStoredAudit(place: StoredAudit): Promise<Verification> {
  if ('file' in place) {
    requireThere(place.file);
    return await verifyFile(place.file);
  }
  if ('folder' in place) {
    requireThere(place.folder);
    return requireAny(await verifyLedger({ folder: place.folder, head: undefined }), place.folder);
  }
  using _ = holdDataDir(place.dataDir);
  const { folder, ...of } = auditPlace(place);
  const { head, fault } = await readHead(of);
  return requireAny(await verifyLedger({ folder, head, headFault: fault }), folder);
}

/** The oldest first. @throws TrustplaneError ERR_DATA_DIR*, ERR_AUDIT_DAMAGED, ERR_AUDIT_READ */
export async function* readStoredAudit(
  place: StoredAudit,
  filter: LedgerFilter,
): AsyncGenerator<LocatedRecord, void, undefined> {
  if ('file' in place) {
    requireThere(place.file);
    const { dir, base } = path.parse(path.resolve(place.file));
    return yield* readStored(dir, filter, base);
  }
  if ('folder' in place) {
    requireThere(place.folder);
    return yield* readStored(place.folder, filter);
  }
  using _ = holdDataDir(place.dataDir);
  return yield* readStored(auditPlace(place).folder, filter);
}

/** The event of a line as a server sent it. @throws Error when it is no line of this version */
export function parseAuditLine(text: string): {
  readonly sequenceNumber: number;
  readonly at: number;
  readonly event: AuditEvent;
} {
  return parseRecord(Buffer.from(text));
}

function holdDataDir(dataDir: string): Disposable {
  requireThere(auditPlace({ dataDir }).folder);
  const held = openDataDir(dataDir, true);
  return { [Symbol.dispose]: () => held.close() };
}

/** Where nothing is, nothing is as it was written. */
function requireAny(found: Verification, folder: string): Verification {
  if (found.files > 0 || found.findings.length > 0) return found;
  throw new TrustplaneError('ERR_AUDIT_NONE', `there is no file of a ledger in ${folder}`);
}

function requireThere(place: string): void {
  try {
    statSync(place);
  } catch (cause) {
    const why = `there is no audit ledger at ${place} that this user may read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_AUDIT_READ', why, { cause });
  }
}
