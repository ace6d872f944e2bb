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
  /** The authority above it that stands in the bundle in its place; null when it is in the bundle itself. */
  readonly upstreamId: string | null;
}

/** trustplane.admin.v1.Authority; also, of that, spire.api.server.localauthority.v1.AuthorityState. */
export interface AuthorityMessage {
  readonly authority_id?: string;
  readonly expires_at?: string;
  readonly slot?: string;
  readonly not_before?: string;
  readonly published?: boolean;
  readonly tainted?: boolean;
  readonly upstream_id?: string;
}

export function buildAuthority(message: AuthorityMessage): AuthorityView {
  return {
    authorityId: message.authority_id ?? '',
    slot: enumText(message.slot, 'SLOT_'),
    notBefore: instant(message.not_before),
    expiresAt: instant(message.expires_at),
    published: message.published ?? false,
    tainted: message.tainted ?? false,
    upstreamId: message.upstream_id || null,
  };
}

/** The name of an enum's value, as commands print it. */
export function enumText(text: string | undefined, prefix: string): string {
  return (text ?? '').replace(prefix, '').toLowerCase();
}
