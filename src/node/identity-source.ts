import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  generateP256KeyPair,
  messageOf,
  type P256KeyPair,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { ServerTrust } from '../wire/index.ts';
import { attestNode, beginAttestation, type NodeAttestation, renewNode } from './attest-node.ts';
import { type Bootstrap, fetchBootstrapBundle } from './bootstrap.ts';
import { isBarred, isPassing, isUntrusted } from './call-error.ts';
import { fetchOwnBundle } from './fetch-facts.ts';
import type { NodeFacts } from './node-facts.ts';
import { acceptIdentity, type NodeIdentity, type WireX509Svid } from './node-identity.ts';
import type { ServerAddress, ServerLink } from './server-link.ts';
import { withAnyServer } from './server-pool.ts';

export interface IdentitySourceOptions {
  readonly trustDomain: TrustDomain;
  /** At least one, now. */
  readonly servers: () => readonly ServerAddress[];
  readonly bootstrap: Bootstrap | undefined;
  /** Undefined: the agent lives on what it was restored with. */
  readonly attestation: NodeAttestation | undefined;
  /** How this node proves that an SVID that has expired was its own. */
  readonly lastKey?: (identity: NodeIdentity) => NodeAttestation;
  readonly facts: NodeFacts;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** What a server gave the agent, as it came. */
interface Given {
  readonly svid: WireX509Svid | null | undefined;
  readonly keys: P256KeyPair;
  readonly canReattest: boolean;
}

/** Gets the agent's own SVID from servers that are judged by what the agent knows, or was configured with. */
export class IdentitySource {
  readonly #options: IdentitySourceOptions;
  readonly #serverId: SpiffeId;

  constructor(options: IdentitySourceOptions) {
    this.#options = options;
    this.#serverId = SpiffeId.of(options.trustDomain, '/spire/server');
  }

  /** How servers are judged by the bundle that is known. */
  get trust(): ServerTrust {
    return { serverId: this.#serverId, bundle: () => this.#options.facts.current().own };
  }

  /** The next SVID of an agent that cannot attest again. @throws TrustplaneError ERR_NODE_SVID; as `ServerLink.call` */
  async renew(link: ServerLink, { agentId }: NodeIdentity): Promise<NodeIdentity> {
    const keys = generateP256KeyPair();
    const svid = await renewNode(link, agentId, keys);
    return await this.#accept(link, { svid, keys, canReattest: false });
  }

  /** The bundle, from a server that is asked without an identity. */
  async askBundle(): Promise<Bundle> {
    return await this.#ask(this.trust, (link) => fetchOwnBundle(link, this.#options.trustDomain));
  }

  /**
   * Attests. Servers are judged by the bundle that is known; when there is none, by the configured one;
   * also, if `mayBootstrap`, when no server fits it any more; an insecure one only as long as nothing is known.
   * @param last the agent's last identity
   * @throws TrustplaneError ERR_NODE_*, what a server says
   */
  async attest(last: NodeIdentity | undefined, mayBootstrap: boolean): Promise<NodeIdentity> {
    const { facts, bootstrap, log } = this.#options;
    const { own } = facts.current();
    if (own.x509Authorities.length > 0) {
      try {
        return await this.#attestBelow(own, last);
      } catch (error) {
        if (!mayBootstrap || !isUntrusted(error) || !isSecure(bootstrap)) throw error;
        log.warn({ error: messageOf(error) }, 'no server is trusted any more; bootstrapping again');
      }
    }
    return await this.#attestBelow(await this.#bootstrap(last), last);
  }

  /** Whoever has been a member believes nobody without a bundle: its last key is not shown to strangers. */
  async #bootstrap(last: NodeIdentity | undefined): Promise<Bundle> {
    const { bootstrap, trustDomain, log } = this.#options;
    if (last !== undefined && bootstrap?.kind === 'insecure') {
      const message =
        'this agent has joined before, and believes no server without its bundle: set agent.bootstrap.bundleFile or bundleUrl';
      throw new TrustplaneError('ERR_NODE_BOOTSTRAP', message);
    }
    if (bootstrap === undefined) {
      const message =
        'there is nothing to trust a server by: set agent.bootstrap, or --bundle-file';
      throw new TrustplaneError('ERR_NODE_BOOTSTRAP', message);
    }
    const bundle = await fetchBootstrapBundle(bootstrap, trustDomain);
    if (bundle !== undefined) return bundle;
    log.warn({}, 'INSECURE: believing the first server that answers, whoever that is');
    const anybody = { onUnverified: () => {} };
    return await this.#ask(anybody, (link) => fetchOwnBundle(link, trustDomain));
  }

  /** By the last key where that is enough, else as configured. */
  async #attestBelow(bundle: Bundle, last: NodeIdentity | undefined): Promise<NodeIdentity> {
    const { attestation, lastKey, log } = this.#options;
    if (last !== undefined && !last.canReattest && lastKey !== undefined) {
      try {
        return await this.#attestBy(lastKey(last), bundle);
      } catch (error) {
        if (isPassing(error) || isUntrusted(error) || isBarred(error)) throw error;
        log.warn({ error: messageOf(error) }, 'the last key is not enough to come back');
      }
    }
    if (attestation !== undefined) return await this.#attestBy(attestation, bundle);
    const message =
      'this agent has nothing to prove itself with: set agent.nodeAttestation, or --join-token';
    throw new TrustplaneError('ERR_NODE_ATTESTATION', message);
  }

  async #attestBy(attestation: NodeAttestation, bundle: Bundle): Promise<NodeIdentity> {
    const { trustDomain, clock } = this.#options;
    const evidence = await beginAttestation(attestation);
    const trust = { serverId: this.#serverId, bundle: () => bundle };
    try {
      return await this.#ask(trust, async (link) => {
        // Before anything is spent.
        const own = await fetchOwnBundle(link, trustDomain);
        const keys = generateP256KeyPair();
        const { svid, canReattest } = await attestNode(link, evidence, keys, clock);
        return await this.#accept(link, { svid, keys, canReattest }, own);
      });
    } finally {
      evidence.end?.();
    }
  }

  /** Below the bundle that is known, else one that a server told just now, which is known from then on. */
  async #accept(link: ServerLink, given: Given, told?: Bundle): Promise<NodeIdentity> {
    const { facts, trustDomain, clock } = this.#options;
    const accept = (bundle: Bundle): NodeIdentity =>
      acceptIdentity(given.svid, { ...given, trustDomain, bundle, now: clock.now() });
    const known = facts.current().own;
    if (isAcceptable(accept, known)) return accept(known);
    const isTold = told !== undefined && isAcceptable(accept, told);
    const bundle = isTold ? told : await fetchOwnBundle(link, trustDomain);
    const identity = accept(bundle);
    facts.setOwnBundle(bundle);
    return identity;
  }

  /** Without an identity, over connections of its own. */
  async #ask<T>(trust: ServerTrust, work: (link: ServerLink) => Promise<T>): Promise<T> {
    const servers = this.#options.servers();
    const pool = { ...this.#options, servers, identity: () => undefined, trust };
    return await withAnyServer(pool, work);
  }
}

/** The first server that answers may be believed at the very beginning alone. */
function isSecure(bootstrap: Bootstrap | undefined): boolean {
  return bootstrap !== undefined && bootstrap.kind !== 'insecure';
}

function isAcceptable(accept: (bundle: Bundle) => unknown, bundle: Bundle): boolean {
  try {
    accept(bundle);
    return true;
  } catch {
    return false;
  }
}
