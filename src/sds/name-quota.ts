import { TrustplaneError } from '../spiffe/index.ts';
import { sdsLimits } from './discovery-request.ts';
import type { StreamState } from './stream-state.ts';

/** Bounds what the names and versions that clients send may take up: on one stream, and of one user. */
export class NameQuota {
  readonly #perUser = new Map<number, number>();

  /**
   * Counts the names of a stream's state instead of the `former` bytes; returns the bytes now.
   * @throws TrustplaneError ERR_SDS_LIMIT, and counts nothing
   */
  replace(uid: number, former: number, state: StreamState): number {
    const bytes = countNameBytes(state);
    const { maxNameBytesPerStream, maxNameBytesPerUser } = sdsLimits;
    if (bytes > maxNameBytesPerStream) throw tooLong(bytes, maxNameBytesPerStream, 'one stream');
    const ofUser = (this.#perUser.get(uid) ?? 0) - former + bytes;
    if (bytes > former && ofUser > maxNameBytesPerUser) {
      throw tooLong(ofUser, maxNameBytesPerUser, `all streams of user ${uid}`);
    }
    this.#set(uid, ofUser);
    return bytes;
  }

  /** Forgets a stream. */
  release(uid: number, bytes: number): void {
    this.#set(uid, (this.#perUser.get(uid) ?? 0) - bytes);
  }

  #set(uid: number, bytes: number): void {
    if (bytes > 0) this.#perUser.set(uid, bytes);
    else this.#perUser.delete(uid);
  }
}

/** What a client says it holds counts with the version it says. */
function countNameBytes({ names, claimed, served }: StreamState): number {
  let bytes = 0;
  for (const name of names) bytes += Buffer.byteLength(name);
  for (const name of claimed) {
    bytes += Buffer.byteLength(served.get(name) ?? '');
    if (!names.has(name)) bytes += Buffer.byteLength(name);
  }
  return bytes;
}

function tooLong(bytes: number, maxBytes: number, where: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_SDS_LIMIT',
    `the resource names, with their versions, have ${bytes} bytes; at most ${maxBytes} are allowed on ${where}`,
  );
}
