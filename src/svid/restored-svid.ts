import { createPrivateKey, createPublicKey } from 'node:crypto';
import { parseX509Svid, type RegistrationEntry, TrustplaneError } from '../spiffe/index.ts';
import type { IssuedSvid } from './issued-svid.ts';
import { type StagedSvid, stageSvid } from './svid-slot.ts';

/** An SVID that was in use before this process began, as `onSvid` told of it. */
export interface RestoredSvid
  extends Pick<IssuedSvid, 'certificateChain' | 'privateKey' | 'issuedAt' | 'profile'> {
  readonly entryId: string;
}

/**
 * Parses what was kept and checks that it is of the entry and of its own key. Whether the SVID is
 * still valid is for the bundle to say.
 * @throws TrustplaneError ERR_SVID_REFUSED, and those of parseX509Svid
 */
export function checkRestored(restored: RestoredSvid, { spiffeId }: RegistrationEntry): StagedSvid {
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
