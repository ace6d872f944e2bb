import { instant } from './admin-call.ts';

/** An authority of the server in its slot. */
export interface AuthorityView {
  readonly authorityId: string;
  /** active, prepared or old. */
  readonly slot: string;
  /** RFC 3339. */
  readonly notBefore: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  readonly published: boolean;
  readonly tainted: boolean;
}

/** trustplane.admin.v1.Authority; also, of that, spire.api.server.localauthority.v1.AuthorityState. */
export interface AuthorityMessage {
  readonly authority_id?: string;
  readonly expires_at?: string;
  readonly slot?: string;
  readonly not_before?: string;
  readonly published?: boolean;
  readonly tainted?: boolean;
}

export function buildAuthority(message: AuthorityMessage): AuthorityView {
  return {
    authorityId: message.authority_id ?? '',
    slot: enumText(message.slot, 'SLOT_'),
    notBefore: instant(message.not_before),
    expiresAt: instant(message.expires_at),
    published: message.published ?? false,
    tainted: message.tainted ?? false,
  };
}

/** The name of an enum's value, as commands print it. */
export function enumText(text: string | undefined, prefix: string): string {
  return (text ?? '').replace(prefix, '').toLowerCase();
}
