import { Client, type ServiceError, status } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import {
  type Clock,
  SpiffeId,
  type TokenAuthority,
  type TrustDomain,
  TrustplaneError,
  type X509Authority,
} from '../spiffe/index.ts';
import { buildSeconds, parseBundleMessage, type WireBundle } from '../sync/index.ts';
import { dialTls, type TlsDial } from '../wire/index.ts';
import { remoteError } from './remote-error.ts';
import { callUnary } from './unary-call.ts';
import { UpstreamIdentity } from './upstream-identity.ts';
import type { WorkloadApiClient } from './workload-api-client.ts';

const IDENTITY_TIMEOUT_MS = 10_000;
/** Of DER certificates in an answer. */
const MAX_CERTIFICATES = 1_024;

const services = {
  Bundle: ['spire/api/server/bundle/v1/bundle.proto', 'spire.api.server.bundle.v1.Bundle'],
  SVID: ['spire/api/server/svid/v1/svid.proto', 'spire.api.server.svid.v1.SVID'],
} as const;

export interface UpstreamServersOptions {
  /** At least one; the first that answers is used. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** Gives the SVID to call them with; closed with this. */
  readonly workloadApi: WorkloadApiClient;
  /** Which of its SVIDs; undefined: the first. */
  readonly spiffeId: SpiffeId | undefined;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
}

/** Servers of the same trust domain above this one, by SPIRE's server API. Calls reject with a TrustplaneError. */
export interface UpstreamServers {
  readonly name: string;
  /** An authority for the PKCS#10 request (DER): DER, the authority first, without the root. */
  mint(request: { readonly csr: Uint8Array; readonly ttlSeconds: number }): Promise<{
    readonly chain: readonly Uint8Array[];
    readonly upstreamRoots: readonly Uint8Array[];
  }>;
  fetchTrust(): Promise<{
    readonly x509Authorities: readonly X509Authority[];
    readonly jwtAuthorities: readonly TokenAuthority[];
    readonly isComplete: true;
    readonly refreshHintSeconds: number | undefined;
  }>;
  publishJwt(key: Pick<TokenAuthority, 'keyId' | 'publicKey' | 'expiresAt'>): Promise<void>;
  close(): Promise<void>;
}

interface Link {
  readonly dial: TlsDial;
  readonly client: Client;
}

interface MintResponse {
  readonly ca_cert_chain?: readonly Uint8Array[];
  readonly x509_authorities?: readonly Uint8Array[];
}

export function openUpstreamServers(options: UpstreamServersOptions): UpstreamServers {
  return new Servers(options);
}

class Servers implements UpstreamServers {
  readonly name: string;
  readonly #options: UpstreamServersOptions;
  readonly #identity: UpstreamIdentity;
  /** By address. */
  readonly #links = new Map<object, Link>();
  /** The one that answered last. */
  #preferred = 0;

  constructor(options: UpstreamServersOptions) {
    const { addresses } = options;
    this.#options = options;
    this.#identity = new UpstreamIdentity(options);
    this.name = addresses.map(({ host, port }) => `${host}:${port}`).join(', ');
  }

  async mint({ csr, ttlSeconds }: { readonly csr: Uint8Array; readonly ttlSeconds: number }) {
    const { ca_cert_chain: chain = [], x509_authorities: roots = [] } =
      await this.#call<MintResponse>('SVID', 'NewDownstreamX509CA', {
        csr,
        preferred_ttl: ttlSeconds,
      });
    if (chain.length + roots.length > MAX_CERTIFICATES) {
      throw new TrustplaneError(
        'ERR_CLIENT_RESPONSE',
        `expected at most ${MAX_CERTIFICATES} certificates; got ${chain.length + roots.length}`,
      );
    }
    const copy = (der: Uint8Array): Uint8Array => Uint8Array.from(der);
    return { chain: chain.map(copy), upstreamRoots: roots.map(copy) };
  }

  async fetchTrust() {
    const bundle = parseBundleMessage(await this.#call<WireBundle>('Bundle', 'GetBundle', {}));
    const { trustDomain, x509Authorities, jwtAuthorities, refreshHintSeconds } = bundle;
    if (trustDomain.equals(this.#options.trustDomain) && x509Authorities.length > 0) {
      return { x509Authorities, jwtAuthorities, isComplete: true, refreshHintSeconds } as const;
    }
    throw new TrustplaneError(
      'ERR_CLIENT_RESPONSE',
      `expected the bundle of ${this.#options.trustDomain.name} with authorities; got one of ${trustDomain.name} with ${x509Authorities.length}`,
    );
  }

  async publishJwt(key: Pick<TokenAuthority, 'keyId' | 'publicKey' | 'expiresAt'>): Promise<void> {
    const { keyId, publicKey, expiresAt } = key;
    await this.#call('Bundle', 'PublishJWTAuthority', {
      jwt_authority: {
        key_id: keyId,
        public_key: publicKey,
        expires_at: buildSeconds(expiresAt),
      },
    });
  }

  async close(): Promise<void> {
    await this.#identity.close();
    this.#options.workloadApi.close();
    for (const { client } of this.#links.values()) client.close();
  }

  /** One server after the other, until one answers. */
  async #call<Response>(
    service: keyof typeof services,
    method: string,
    request: object,
  ): Promise<Response> {
    await this.#identity.require(IDENTITY_TIMEOUT_MS);
    const { addresses } = this.#options;
    const failures: unknown[] = [];
    for (let turn = 0; turn < addresses.length; turn++) {
      const index = (this.#preferred + turn) % addresses.length;
      const link = this.#linkTo(index);
      try {
        const response = await callUnary<Response>({
          client: link.client,
          service: services[service],
          method,
          request,
          toError: (error) => upstreamError(error, link.dial, method),
        });
        this.#preferred = index;
        return response;
      } catch (error) {
        failures.push(error);
        if (!isUnavailable(error)) break;
      }
    }
    throw failures.at(-1);
  }

  #linkTo(index: number): Link {
    const { addresses, clock, trustDomain } = this.#options;
    const address = addresses[index];
    if (address === undefined) throw new TrustplaneError('ERR_INTERNAL', 'no such server upstream');
    const known = this.#links.get(address);
    if (known !== undefined) return known;
    const dial = dialTls({
      ...address,
      identity: () => this.#identity.current?.identity,
      trust: {
        serverId: SpiffeId.of(trustDomain, '/spire/server'),
        bundle: () => this.#bundle(),
      },
      clock,
    });
    const link = { dial, client: new Client(dial.target, dial.credentials, dial.options) };
    this.#links.set(address, link);
    return link;
  }

  #bundle() {
    const held = this.#identity.current;
    if (held !== undefined) return held.bundle;
    throw new TrustplaneError('ERR_UPSTREAM_IDENTITY', 'there is no bundle to judge servers by');
  }
}

function upstreamError(error: ServiceError, dial: TlsDial, method: string): TrustplaneError {
  const isSilent = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
  const known = remoteError(error, dial.target);
  const isOwn = known.code !== 'ERR_UNREACHABLE';
  if (isSilent && !isOwn) {
    const why = dial.failure()?.message ?? error.details;
    return new TrustplaneError('ERR_UPSTREAM_UNREACHABLE', `${dial.target}: ${why}`, {
      cause: error,
    });
  }
  return new TrustplaneError(known.code, `${dial.target}: ${method}: ${known.message}`, {
    cause: error,
  });
}

function isUnavailable(error: unknown): boolean {
  return error instanceof TrustplaneError && error.category === 'unavailable';
}
