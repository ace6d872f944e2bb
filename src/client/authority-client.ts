import { dialAdmin, instant } from './admin-call.ts';
import {
  type AuthorityMessage,
  type AuthorityView,
  buildAuthority,
  enumText,
} from './authority-message.ts';

export type AuthorityKind = 'x509' | 'jwt';

/** What a step that was taken leaves. */
export interface AuthorityStateView {
  readonly authorityId: string;
  /** RFC 3339. */
  readonly expiresAt: string;
}

export interface LaggardView {
  readonly who: string;
  readonly why: string;
}

/** Where the authorities of one kind stand. Instants in RFC 3339. */
export interface RotationView {
  readonly kind: AuthorityKind;
  readonly authorities: readonly AuthorityView[];
  /** prepare, publish, activate or prune. */
  readonly nextStep: string;
  /** At the latest. */
  readonly nextStepAt: string;
  /** Null when no authority is prepared. */
  readonly gate: {
    readonly open: boolean;
    readonly behind: readonly LaggardView[];
    readonly behindCount: number;
    /** Null when that is not known. */
    readonly opensAt: string | null;
  } | null;
  /** Null unless the active authority signs although not everybody knows it. */
  readonly alarm: {
    readonly authorityId: string;
    readonly at: string;
    readonly behind: readonly LaggardView[];
    readonly behindCount: number;
  } | null;
  /** Null when the last attempt went well. */
  readonly failure: string | null;
}

/** The authorities of a server, over its admin socket. Every call fails with a TrustplaneError. */
export interface AuthorityClient {
  /** X.509, then JWT. */
  rotations(): Promise<readonly RotationView[]>;
  prepare(kind: AuthorityKind): Promise<AuthorityStateView>;
  activate(kind: AuthorityKind, authorityId: string, force: boolean): Promise<AuthorityStateView>;
  taint(kind: AuthorityKind, authorityId: string): Promise<AuthorityStateView>;
  revoke(kind: AuthorityKind, authorityId: string): Promise<AuthorityStateView>;
  /** Has everything below an upstream authority replaced. */
  taintUpstream(upstreamId: string): Promise<void>;
  /** Takes a tainted upstream authority out of the bundle. */
  revokeUpstream(upstreamId: string): Promise<void>;
  close(): void;
}

interface BehindMessage {
  readonly behind?: readonly { readonly who?: string; readonly why?: string }[];
  readonly behind_count?: number;
}

interface RotationMessage {
  readonly kind?: string;
  readonly authorities?: readonly AuthorityMessage[];
  readonly next_step?: string;
  readonly next_step_at?: string;
  readonly gate?: (BehindMessage & { readonly open?: boolean; readonly opens_at?: string }) | null;
  readonly alarm?:
    | (BehindMessage & { readonly authority_id?: string; readonly at?: string })
    | null;
  readonly failure?: string;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createAuthorityClient(socket: string): AuthorityClient {
  const { call, close } = dialAdmin(socket);

  async function step(
    verb: 'Prepare' | 'Taint' | 'Revoke',
    kind: AuthorityKind,
    request: object,
  ): Promise<AuthorityStateView> {
    const method = `${verb}${kind.toUpperCase()}Authority`;
    const response = await call<Record<string, AuthorityMessage | null>>(
      'LocalAuthority',
      method,
      request,
    );
    const [message] = Object.values(response);
    return buildState(message);
  }

  async function upstreamStep(verb: 'Taint' | 'Revoke', upstreamId: string): Promise<void> {
    const request = { subject_key_id: upstreamId };
    await call('LocalAuthority', `${verb}X509UpstreamAuthority`, request);
  }

  return {
    async rotations() {
      const { rotations = [] } = await call<{ rotations?: readonly RotationMessage[] }>(
        'Admin',
        'GetRotationStatus',
        {},
      );
      return rotations.map(buildRotation);
    },
    prepare: (kind) => step('Prepare', kind, {}),
    async activate(kind, authorityId, force) {
      const { authority } = await call<{ authority?: AuthorityMessage | null }>(
        'Admin',
        'ActivateAuthority',
        { kind: `AUTHORITY_KIND_${kind.toUpperCase()}`, authority_id: authorityId, force },
      );
      return buildState(authority);
    },
    taint: (kind, authorityId) => step('Taint', kind, { authority_id: authorityId }),
    revoke: (kind, authorityId) => step('Revoke', kind, { authority_id: authorityId }),
    taintUpstream: (upstreamId) => upstreamStep('Taint', upstreamId),
    revokeUpstream: (upstreamId) => upstreamStep('Revoke', upstreamId),
    close,
  };
}

function buildState(message: AuthorityMessage | null | undefined): AuthorityStateView {
  return { authorityId: message?.authority_id ?? '', expiresAt: instant(message?.expires_at) };
}

function buildRotation(message: RotationMessage): RotationView {
  const { gate, alarm, failure = '' } = message;
  return {
    kind: message.kind === 'AUTHORITY_KIND_JWT' ? 'jwt' : 'x509',
    authorities: (message.authorities ?? []).map(buildAuthority),
    nextStep: enumText(message.next_step, 'STEP_'),
    nextStepAt: instant(message.next_step_at),
    gate: gate
      ? {
          open: gate.open ?? false,
          ...buildBehind(gate),
          opensAt: Number(gate.opens_at ?? 0) === 0 ? null : instant(gate.opens_at),
        }
      : null,
    alarm: alarm
      ? { authorityId: alarm.authority_id ?? '', at: instant(alarm.at), ...buildBehind(alarm) }
      : null,
    failure: failure === '' ? null : failure,
  };
}

function buildBehind({ behind = [], behind_count = 0 }: BehindMessage) {
  return {
    behind: behind.map(({ who = '', why = '' }) => ({ who, why })),
    behindCount: behind_count,
  };
}
