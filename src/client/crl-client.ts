import { dialAdmin, instant } from './admin-call.ts';

/** The CRL of one authority. Instants in RFC 3339. */
export interface CrlView {
  readonly authorityId: string;
  /** Decimal. */
  readonly number: string;
  readonly thisUpdate: string;
  readonly nextUpdate: string;
  /** How many certificates it names. */
  readonly revoked: number;
  /** No agent gives it to anybody: other authorities stand below this one. */
  readonly withheld: boolean;
}

/** The CRLs of a control plane, over the admin socket. Every call fails with a TrustplaneError. */
export interface CrlClient {
  /** By authority. */
  list(): Promise<readonly CrlView[]>;
  /** DER. @throws TrustplaneError ERR_CRL_UNKNOWN */
  fetch(authorityId: string): Promise<Uint8Array>;
  close(): void;
}

interface CrlMessage {
  readonly authority_id?: string;
  readonly number?: string;
  readonly this_update?: string;
  readonly next_update?: string;
  readonly revoked?: number;
  readonly withheld?: boolean;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createCrlClient(socket: string): CrlClient {
  const { call, close } = dialAdmin(socket);
  return {
    async list() {
      const { crls = [] } = await call<{ crls?: readonly CrlMessage[] }>('Crls', 'ListCrls', {});
      return crls.map(buildView);
    },
    async fetch(authorityId) {
      const request = { authority_id: authorityId };
      const { der } = await call<{ der?: Uint8Array }>('Crls', 'GetCrl', request);
      return der ?? new Uint8Array();
    },
    close,
  };
}

function buildView(message: CrlMessage): CrlView {
  return {
    authorityId: message.authority_id ?? '',
    number: message.number ?? '',
    thisUpdate: instant(message.this_update ?? '0'),
    nextUpdate: instant(message.next_update ?? '0'),
    revoked: message.revoked ?? 0,
    withheld: message.withheld ?? false,
  };
}
