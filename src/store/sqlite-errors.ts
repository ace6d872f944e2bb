import { type ErrorCode, messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { FailedAnswer } from './sqlite-protocol.ts';

/** The index of the log could not be given its size. */
const IOERR_SHMSIZE = 10 | (19 << 8);
const FULL = ['ERR_STORE_FULL', 'has no room left on its disk; free some'] as const;
const READ_ONLY = [
  'ERR_STORE_READ_ONLY',
  'cannot be written; make it writable for this user',
] as const;

/** Primary result codes of SQLite (https://sqlite.org/rescode.html) and of the system that mean something of their own. */
const MEANINGS: ReadonlyMap<unknown, readonly [ErrorCode, string]> = new Map<
  unknown,
  readonly [ErrorCode, string]
>([
  [5, ['ERR_STORE_UNAVAILABLE', 'is in use by another process']],
  [8, READ_ONLY],
  [11, ['ERR_STORE_DAMAGED', 'is damaged; restore it from a backup']],
  [13, FULL],
  [26, ['ERR_STORE_DAMAGED', 'is damaged or no database; restore it from a backup']],
  [IOERR_SHMSIZE, FULL],
  ['ENOSPC', FULL],
  ['EDQUOT', FULL],
  ['EROFS', READ_ONLY],
  ['EACCES', READ_ONLY],
  ['EPERM', READ_ONLY],
]);

/** Anything thrown while the database at `path` was used, as an error of ours. */
export function storeError(path: string, error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  const [code, what] = MEANINGS.get(codeOf(error)) ?? ['ERR_STORE_UNAVAILABLE', 'failed'];
  return new TrustplaneError(code, `the database ${path} ${what} (${messageOf(error)})`, {
    cause: error,
  });
}

/** The same, as it crosses to the thread that asked. */
export function failedAnswer(path: string, error: unknown): FailedAnswer {
  const { code, message } = storeError(path, error);
  return { type: 'failed', code, message };
}

/** What was wrong with a file of the database, said so that an operator can act. */
export function damagedError(path: string, problem: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_DAMAGED',
    `${path} is damaged: ${problem}; nothing was changed; restore the data directory from a backup`,
  );
}

function codeOf(error: unknown): unknown {
  if (!(error instanceof Error)) return undefined;
  if ('errcode' in error && typeof error.errcode === 'number') {
    return error.errcode === IOERR_SHMSIZE ? error.errcode : error.errcode & 0xff;
  }
  return 'code' in error ? error.code : undefined;
}
