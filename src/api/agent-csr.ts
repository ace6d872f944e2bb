import {
  type Csr,
  messageOf,
  parseCsr,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/** spire.api.server.agent.v1.AgentX509SVIDParams */
export interface WireAgentSvidParams {
  readonly csr?: Uint8Array;
}

const MAX_SHOWN = 200;

/**
 * What an agent wants signed: a key, and at most the ID of an agent. Names are not taken from it.
 * @throws TrustplaneError ERR_API_CSR_ID; those of `parseCsr`
 */
export function parseAgentCsr(
  params: WireAgentSvidParams | null | undefined,
  trustDomain: TrustDomain,
): Csr {
  const csr = parseCsr(params?.csr ?? new Uint8Array());
  const [uri, ...others] = csr.uriSans;
  if (others.length > 0) throw refused('at most one URI SAN', `${csr.uriSans.length}`);
  if (uri !== undefined && !isAgentId(uri, trustDomain)) {
    throw refused(`the ID of an agent of ${trustDomain.name}, or none`, shown(uri));
  }
  return csr;
}

/** @throws TrustplaneError ERR_API_CSR_ID when the request names another agent */
export function checkAgentCsr({ uriSans }: Csr, id: SpiffeId): void {
  const [uri] = uriSans;
  if (uri === undefined || uri === id.toString()) return;
  throw refused(`no URI SAN or ${id.toString()}`, shown(uri));
}

function isAgentId(uri: string, trustDomain: TrustDomain): boolean {
  try {
    const id = SpiffeId.parse(uri);
    return id.trustDomain.equals(trustDomain) && id.path.startsWith('/spire/agent/');
  } catch (error) {
    throw refused('a SPIFFE ID, or none', messageOf(error));
  }
}

function shown(uri: string): string {
  return JSON.stringify(uri.slice(0, MAX_SHOWN));
}

function refused(expected: string, got: string): TrustplaneError {
  return new TrustplaneError('ERR_API_CSR_ID', `the request: expected ${expected}; got ${got}`);
}
