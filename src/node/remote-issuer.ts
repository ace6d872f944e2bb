import { parseCertificate, quote, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { itemError } from './call-error.ts';
import type { WireX509Svid } from './node-identity.ts';
import type { ServerCalls } from './server-link.ts';

interface SvidRequest {
  readonly entryId: string;
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
}

type SvidResult =
  | {
      readonly certificateChain: readonly Uint8Array[];
      readonly notBefore: number;
      readonly expiresAt: number;
    }
  | { readonly error: TrustplaneError };

interface JwtRequest {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
}

interface JwtGrant {
  readonly token: string;
  /** Milliseconds since the epoch, both. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

interface BatchAnswer {
  readonly results?: readonly {
    readonly status?: { readonly code?: number; readonly message?: string } | null;
    readonly svid?: WireX509Svid | null;
  }[];
}

interface JwtAnswer {
  readonly svid?: {
    readonly token?: string;
    readonly issued_at?: string;
    readonly expires_at?: string;
  } | null;
}

/** Has SVIDs issued by a server. */
export interface RemoteIssuer {
  /** One result for each request, in order. @throws TrustplaneError when there is no answer at all */
  issue(requests: readonly SvidRequest[]): Promise<readonly SvidResult[]>;
  /** @throws TrustplaneError ERR_NODE_UNREACHABLE, ERR_NODE_ANSWER, what the server says */
  issueJwt(request: JwtRequest): Promise<JwtGrant>;
}

/** Does work with a server, as this agent. */
type UseServer = <T>(work: (server: ServerCalls) => Promise<T>) => Promise<T>;

export function createRemoteIssuer(use: UseServer): RemoteIssuer {
  return {
    async issue(requests) {
      const params = requests.map(({ entryId, csr }) => ({ entry_id: entryId, csr }));
      const { results = [] } = await use((link) =>
        link.call<BatchAnswer>('SVID.BatchNewX509SVID', { params }),
      );
      return requests.map(({ entryId }, index) => parseResult(entryId, results[index]));
    },
    async issueJwt({ entryId, audience }) {
      const request = { entry_id: entryId, audience };
      const { svid } = await use((link) => link.call<JwtAnswer>('SVID.NewJWTSVID', request));
      const { token = '', issued_at = '', expires_at = '' } = svid ?? {};
      const [issuedAt, expiresAt] = [Number(issued_at) * 1_000, Number(expires_at) * 1_000];
      if (token !== '' && expiresAt > issuedAt && issuedAt > 0)
        return { token, issuedAt, expiresAt };
      throw strange(entryId, 'no JWT-SVID');
    },
  };
}

function parseResult(
  entryId: string,
  result: NonNullable<BatchAnswer['results']>[number] | undefined,
): SvidResult {
  const { code = 0, message = '' } = result?.status ?? {};
  if (code !== 0) return { error: itemError(code, message) };
  const certificateChain = (result?.svid?.cert_chain ?? []).map((der) => Uint8Array.from(der));
  const [leaf] = certificateChain;
  if (leaf === undefined) return { error: strange(entryId, 'no certificate') };
  try {
    const { notBefore, notAfter } = parseCertificate(leaf);
    return { certificateChain, notBefore, expiresAt: notAfter };
  } catch {
    return { error: strange(entryId, 'something that is no certificate') };
  }
}

function strange(entryId: string, what: string): TrustplaneError {
  const message = `the server answered with ${what} for the entry ${quote(entryId)}`;
  return new TrustplaneError('ERR_NODE_ANSWER', message);
}
