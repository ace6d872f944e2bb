import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { Log } from '../ops/index.ts';
import {
  messageOf,
  parseX509Svid,
  type RegistrationEntry,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { IssuedSvid } from './issued-svid.ts';
import { type StagedSvid, stageSvid } from './svid-slot.ts';

/** An SVID that was in use before this process began, as `onSvid` told of it. */
export interface RestoredSvid
  extends Pick<IssuedSvid, 'certificateChain' | 'privateKey' | 'issuedAt' | 'profile'> {
  readonly entryId: string;
}

export interface RestoredSvidsOptions {
  /** From before this process began: in use again when somebody asks for their entries. */
  readonly restored?: readonly RestoredSvid[];
  /** Told of each SVID that comes into use, and that one is not used again (undefined). Does not throw. */
  readonly onSvid?: (entryId: string, svid: IssuedSvid | undefined) => void;
  readonly log: Log;
}

/** The SVIDs of the last run that nobody has asked for yet. */
export class RestoredSvids {
  readonly #options: RestoredSvidsOptions;
  readonly #waiting: Map<string, RestoredSvid>;

  constructor(options: RestoredSvidsOptions) {
    this.#options = options;
    this.#waiting = new Map((options.restored ?? []).map((each) => [each.entryId, each]));
  }

  /** Hands out the entry's, if there is one; it is dropped when it, or `use`, is not content. */
  take(entry: RegistrationEntry, use: (staged: StagedSvid) => void): void {
    const restored = this.#waiting.get(entry.id);
    if (restored === undefined) return;
    try {
      use(checkRestored(restored, entry));
      this.#waiting.delete(entry.id);
    } catch (error) {
      this.#drop(entry.id, messageOf(error));
    }
  }

  /** Drops those of entries that are gone. */
  sweep(exists: (entryId: string) => boolean): void {
    for (const entryId of this.#waiting.keys()) {
      if (!exists(entryId)) this.#drop(entryId, 'no entry entitles to it any more');
    }
  }

  #drop(entryId: string, why: string): void {
    const { log, onSvid } = this.#options;
    this.#waiting.delete(entryId);
    log.info({ entryId, why }, 'X509-SVID of the last run is not used again');
    onSvid?.(entryId, undefined);
  }
}

/**
 * Parses what was kept and checks that it is of the entry and of its own key. Whether the SVID is
 * still valid is for the bundle to say.
 * @throws TrustplaneError ERR_SVID_REFUSED, and those of parseX509Svid
 */
function checkRestored(restored: RestoredSvid, { spiffeId }: RegistrationEntry): StagedSvid {
  const parsed = parseX509Svid(restored.certificateChain);
  if (!parsed.spiffeId.equals(spiffeId)) {
    throw refused(`the entry is of ${spiffeId.toString()}, it of ${parsed.spiffeId.toString()}`);
  }
  if (!publicKeyOf(restored.privateKey).equals(parsed.leaf.publicKey)) {
    throw refused('the leaf has another public key than the key that was kept with it');
  }
  return stageSvid(parsed, restored);
}

function publicKeyOf(pkcs8: Uint8Array): Buffer {
  try {
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    return createPublicKey(key).export({ type: 'spki', format: 'der' });
  } catch {
    throw refused('its key is damaged');
  }
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_SVID_REFUSED', `the X509-SVID that was kept is refused: ${why}`);
}
