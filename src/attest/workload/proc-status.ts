import { TrustplaneError } from '../../spiffe/index.ts';

/** What /proc/<pid>/status says of a process's credentials. */
export interface ProcessCredentials {
  /** Effective. */
  readonly uid: number;
  /** Effective. */
  readonly gid: number;
  readonly supplementaryGids: readonly number[];
}

/**
 * Parses the lines `Uid:`, `Gid:` and `Groups:`. The name in the first line is the process's own
 * choice; the kernel escapes line feeds in it, so it cannot make a line of its own.
 * @throws TrustplaneError ERR_ATTEST_PROC when a line is missing or malformed
 */
export function parseProcStatus(text: string): ProcessCredentials {
  return {
    uid: effectiveId(text, 'Uid'),
    gid: effectiveId(text, 'Gid'),
    supplementaryGids: parseIds(text, 'Groups'),
  };
}

/** Real, effective, saved and file system ID stand in this order (proc_pid_status(5)). */
function effectiveId(text: string, name: string): number {
  const [, effective] = parseIds(text, name);
  if (effective !== undefined) return effective;
  throw malformed(name);
}

function parseIds(text: string, name: string): number[] {
  const start = text.indexOf(`\n${name}:`);
  if (start < 0) throw malformed(name);
  const end = text.indexOf('\n', start + 1);
  const words = text.slice(start + name.length + 2, end < 0 ? undefined : end).split(/[\t ]+/);
  return words.filter((word) => word !== '').map((word) => parseId(word, name));
}

function parseId(word: string, name: string): number {
  const id = /^\d{1,10}$/.test(word) ? Number(word) : Number.NaN;
  if (id <= 0xffff_ffff) return id;
  throw malformed(name);
}

function malformed(name: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_PROC',
    `/proc/<pid>/status has no well-formed line ${name}:`,
  );
}
