/**
 * SQLite takes a damaged frame of its write-ahead log for the end of the log and drops what follows,
 * also what was committed. A crash can only leave the last transaction incomplete, because each is
 * on disk before the next begins; so commits beyond that mean damage.
 * Format: https://sqlite.org/fileformat2.html#the_write_ahead_log
 */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** With big-endian checksums; one less for little-endian ones. */
const MAGIC = 0x377f_0683;
const MIN_PAGE_BYTES = 512;
const MAX_PAGE_BYTES = 65_536;

type Checksum = readonly [number, number];

/** Says what is wrong with a log, or undefined when a crash alone can explain what it holds. */
export function findLogDamage(log: Buffer): string | undefined {
  if (log.length < HEADER_BYTES + FRAME_HEADER_BYTES) return undefined;
  if (!isHeaderValid(log)) {
    return isOfFirstFrame(log) ? 'its header is not what was written' : undefined;
  }
  const pageBytes = log.readUInt32BE(8);
  const end = validEnd(log, pageBytes);
  const commits = countCommits(log, pageBytes, end);
  if (commits < 2) return undefined;
  return `the frame at byte ${end} is not what was written, and ${commits} commits follow it`;
}

function isHeaderValid(log: Buffer): boolean {
  const pageBytes = log.readUInt32BE(8);
  const isMagic = (log.readUInt32BE(0) | 1) >>> 0 === MAGIC;
  const isPage = pageBytes >= MIN_PAGE_BYTES && pageBytes <= MAX_PAGE_BYTES;
  return isMagic && isPage && isChecksum(log, 24, checksum(log, 0, 24, [0, 0]));
}

/** Whether a bad header was that of the frames in the log; one torn by a crash is not yet. */
function isOfFirstFrame(log: Buffer): boolean {
  const salts = log.subarray(HEADER_BYTES + 8, HEADER_BYTES + 16);
  if (log.subarray(16, 24).equals(salts)) return true;
  const mended = Buffer.from(log.subarray(0, HEADER_BYTES));
  salts.copy(mended, 16);
  return isHeaderValid(mended);
}

/** Where the unbroken chain of frames ends. */
function validEnd(log: Buffer, pageBytes: number): number {
  let running: Checksum = [log.readUInt32BE(24), log.readUInt32BE(28)];
  let at = HEADER_BYTES;
  for (; at + FRAME_HEADER_BYTES + pageBytes <= log.length; at += FRAME_HEADER_BYTES + pageBytes) {
    running = checksum(log, at, at + 8, running);
    running = checksum(log, at + FRAME_HEADER_BYTES, at + FRAME_HEADER_BYTES + pageBytes, running);
    if (!isCurrent(log, at) || !isChecksum(log, at + 16, running)) break;
  }
  return at;
}

function countCommits(log: Buffer, pageBytes: number, from: number): number {
  let commits = 0;
  for (let at = from; at + FRAME_HEADER_BYTES <= log.length; at += FRAME_HEADER_BYTES + pageBytes) {
    if (isCurrent(log, at) && log.readUInt32BE(at + 4) !== 0) commits++;
  }
  return commits;
}

/** Whether the frame was written since the log was last begun anew (its salts are the header's). */
function isCurrent(log: Buffer, frame: number): boolean {
  return log.compare(log, 16, 24, frame + 8, frame + 16) === 0;
}

function isChecksum(log: Buffer, at: number, [first, second]: Checksum): boolean {
  return log.readUInt32BE(at) === first && log.readUInt32BE(at + 4) === second;
}

function checksum(log: Buffer, start: number, end: number, [first, second]: Checksum): Checksum {
  const isBigEndian = (log.readUInt32BE(0) & 1) === 1;
  const view = new DataView(log.buffer, log.byteOffset, log.length);
  let a = first;
  let b = second;
  for (let at = start; at < end; at += 8) {
    a = (a + view.getUint32(at, !isBigEndian) + b) | 0;
    b = (b + view.getUint32(at + 4, !isBigEndian) + a) | 0;
  }
  return [a >>> 0, b >>> 0];
}
