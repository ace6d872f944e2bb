import { emptyBundle } from '../../src/spiffe/bundle.ts';
import {
  type JwtIdentity,
  type JwtIdentityRequest,
  type TokenSource,
  TrustDomain,
  type WorkloadTrust,
} from '../../src/spiffe/index.ts';

/** A source of what the test says, for everybody. */
export class FakeTokenSource<Peer> implements TokenSource<Peer> {
  readonly requests: JwtIdentityRequest[] = [];
  readonly signals: AbortSignal[] = [];
  identities: readonly JwtIdentity[] = [];
  trust: WorkloadTrust = {
    hasIdentity: false,
    own: emptyBundle(TrustDomain.parse('a.test')),
    federated: new Map(),
    isAccepted: () => true,
    isRevoked: () => false,
  };
  /** Questions wait for it. */
  gate: Promise<void> = Promise.resolve();

  async fetchJwtSvids(
    _peer: Peer,
    request: JwtIdentityRequest,
    signal: AbortSignal,
  ): Promise<readonly JwtIdentity[]> {
    this.requests.push(request);
    this.signals.push(signal);
    await this.gate;
    return this.identities;
  }

  async fetchTrust(_peer: Peer, signal: AbortSignal): Promise<WorkloadTrust> {
    this.signals.push(signal);
    await this.gate;
    return this.trust;
  }
}
