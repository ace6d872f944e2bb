import { TrustplaneError } from '../spiffe/index.ts';
import { type CodeFamily, xdsLimits } from './discovery-request.ts';
import type { StreamState } from './stream-state.ts';

/** Bounds what the names and versions that clients send may take up: on one stream, and of one user. */
export class NameQuota {
  readonly #perUser = new Map<number, number>();
  readonly #codes: CodeFamily;

  constructor(codes: CodeFamily) {
    this.#codes = codes;
  }

  /**
   * Counts what a stream has now instead of the `former` bytes.
   * @throws TrustplaneError ERR_SDS_LIMIT or ERR_XDS_LIMIT, and counts nothing
   */
  replace(uid: number, former: number, bytes: number): void {
    const { maxNameBytesPerStream, maxNameBytesPerUser } = xdsLimits;
    if (bytes > maxNameBytesPerStream) {
      throw this.#tooLong(bytes, maxNameBytesPerStream, 'one stream');
    }
    const ofUser = (this.#perUser.get(uid) ?? 0) - former + bytes;
    if (bytes > former && ofUser > maxNameBytesPerUser) {
      throw this.#tooLong(ofUser, maxNameBytesPerUser, `all streams of user ${uid}`);
    }
    this.#set(uid, ofUser);
  }

  /** Forgets a stream. */
  release(uid: number, bytes: number): void {
    this.#set(uid, (this.#perUser.get(uid) ?? 0) - bytes);
  }

  #set(uid: number, bytes: number): void {
    if (bytes > 0) this.#perUser.set(uid, bytes);
    else this.#perUser.delete(uid);
  }

  #tooLong(bytes: number, maxBytes: number, where: string): TrustplaneError {
    return new TrustplaneError(
      `ERR_${this.#codes}_LIMIT`,
      `the resource names, with their versions, have ${bytes} bytes; at most ${maxBytes} are allowed on ${where}`,
    );
  }
}

/** What a client says it holds counts with the version it says; so does what it has let go and is remembered. */
export function countNameBytes({ wildcard, names, claimed, served }: StreamState): number {
  let bytes = 0;
  for (const name of names) bytes += Buffer.byteLength(name);
  for (const name of claimed) {
    bytes += Buffer.byteLength(served.get(name) ?? '');
    if (!names.has(name)) bytes += Buffer.byteLength(name);
  }
  if (wildcard !== 'none') return bytes;
  for (const name of served.keys()) {
    if (!names.has(name) && !claimed.has(name)) bytes += Buffer.byteLength(name);
  }
  return bytes;
}
