import type { UntypedHandleCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { AgentRegistry, AttestedAgent } from '../agents/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import type { Metrics } from '../ops/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import {
  type Clock,
  isCurrent,
  issueInstant,
  type RegistrationEntry,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Caller, callerOf, type GrpcService, type SvidCaller } from '../wire/index.ts';
import { withReason } from './denial-reason.ts';

/** Anybody; an attested agent; the admin socket and workloads with an `admin` entry; one of the latter two; a server below this one. */
type Audience = 'anyone' | 'agent' | 'admin' | 'agent or admin' | 'downstream';

const AGENT_PATH = '/spire/agent/';

/** Who may call what, as in SPIRE. What is not here is not served. */
const audiences: Readonly<Record<string, Readonly<Record<string, Audience>>>> = {
  'spire.api.server.agent.v1.Agent': {
    AttestAgent: 'anyone',
    RenewAgent: 'agent',
    PostStatus: 'agent',
    CountAgents: 'admin',
    ListAgents: 'admin',
    GetAgent: 'admin',
    DeleteAgent: 'admin',
    BanAgent: 'admin',
    CreateJoinToken: 'admin',
  },
  'spire.api.server.bundle.v1.Bundle': {
    GetBundle: 'anyone',
    CountBundles: 'admin',
    AppendBundle: 'admin',
    PublishJWTAuthority: 'downstream',
    ListFederatedBundles: 'admin',
    GetFederatedBundle: 'agent or admin',
    BatchCreateFederatedBundle: 'admin',
    BatchUpdateFederatedBundle: 'admin',
    BatchSetFederatedBundle: 'admin',
    BatchDeleteFederatedBundle: 'admin',
  },
  'spire.api.server.trustdomain.v1.TrustDomain': {
    ListFederationRelationships: 'admin',
    GetFederationRelationship: 'admin',
    BatchCreateFederationRelationship: 'admin',
    BatchUpdateFederationRelationship: 'admin',
    BatchDeleteFederationRelationship: 'admin',
    RefreshBundle: 'admin',
  },
  'spire.api.server.entry.v1.Entry': {
    GetAuthorizedEntries: 'agent',
    SyncAuthorizedEntries: 'agent',
    CountEntries: 'admin',
    ListEntries: 'admin',
    GetEntry: 'admin',
    BatchCreateEntry: 'admin',
    BatchUpdateEntry: 'admin',
    BatchDeleteEntry: 'admin',
  },
  'spire.api.server.svid.v1.SVID': {
    BatchNewX509SVID: 'agent',
    NewJWTSVID: 'agent',
    NewDownstreamX509CA: 'downstream',
    MintX509SVID: 'admin',
    MintJWTSVID: 'admin',
  },
  'spire.api.server.localauthority.v1.LocalAuthority': {
    GetJWTAuthorityState: 'admin',
    PrepareJWTAuthority: 'admin',
    ActivateJWTAuthority: 'admin',
    TaintJWTAuthority: 'admin',
    RevokeJWTAuthority: 'admin',
    GetX509AuthorityState: 'admin',
    PrepareX509Authority: 'admin',
    ActivateX509Authority: 'admin',
    TaintX509Authority: 'admin',
    TaintX509UpstreamAuthority: 'admin',
    RevokeX509Authority: 'admin',
    RevokeX509UpstreamAuthority: 'admin',
  },
  'trustplane.policy.v1.PolicyService': {
    Apply: 'admin',
    Rollback: 'admin',
    History: 'admin',
    Show: 'admin',
    Status: 'admin',
    Prune: 'admin',
  },
  'trustplane.admin.v1.Revocations': {
    Revoke: 'admin',
    Unsuspend: 'admin',
    List: 'admin',
  },
  'trustplane.explain.v1.Explain': {
    WhatIf: 'admin',
    Ask: 'agent',
  },
  'trustplane.admin.v1.Apply': {
    Apply: 'admin',
    Export: 'admin',
  },
  'trustplane.sync.v1.Sync': {
    Sync: 'agent',
  },
};

export interface AuthorizationOptions {
  readonly agents: Pick<AgentRegistry, 'authorize'>;
  readonly entries: Pick<EntryRegistry, 'list'>;
  readonly revocations: Pick<RevocationRegistry, 'find' | 'suspensions'>;
  readonly clock: Clock;
  readonly metrics: Metrics;
}

/** A server below this one. */
export interface Downstream {
  readonly spiffeId: SpiffeId;
  /** Why it may be one. */
  readonly entry: RegistrationEntry;
}

/** A call, as far as who makes it matters. */
export interface CallOfSomebody {
  getPeer(): string;
}

/**
 * Judges each call by who makes it, now. On Unix sockets `requireAdmin` has to come before: whoever
 * calls there counts as administrator.
 */
export class Authorization {
  readonly #options: AuthorizationOptions;
  readonly #agents = new WeakMap<object, AttestedAgent>();
  readonly #denials;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
    this.#denials = options.metrics.counter(
      'trustplane_api_denials_total',
      'Calls of the server API refused because of who called, by error code.',
      ['code'],
    );
  }

  /** The service for those the table names; the calls of others fail with ERR_API_CALLER, ERR_AGENT_*, ERR_X509_*. */
  guard({ definition, implementation }: GrpcService): GrpcService {
    const guarded: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(definition)) {
      const handler = implementation[name];
      if (handler === undefined) continue;
      const audience = audienceOf(method.path);
      guarded[name] = method.responseStream
        ? this.#guardStream(method.path, audience, handler)
        : this.#guardUnary(method.path, audience, handler);
    }
    return { definition, implementation: guarded };
  }

  /** The agent that makes a call which agents alone may make, as it was when the call began. */
  agentOf(call: CallOfSomebody): AttestedAgent {
    const agent = this.#agents.get(call);
    if (agent !== undefined) return agent;
    throw new TrustplaneError('ERR_INTERNAL', 'a call for agents was not authorized');
  }

  /** True for a call of an agent, which was judged as one. */
  isOfAgent(call: CallOfSomebody): boolean {
    return this.#agents.has(call);
  }

  /**
   * The agent as it is now; long streams ask before each thing they give away.
   * @throws TrustplaneError ERR_API_CALLER, ERR_AGENT_* (ERR_AGENT_NOT_ACTIVE when its SVID is revoked), ERR_X509_*,
   * ERR_STORE_*
   */
  async requireAgent(call: CallOfSomebody): Promise<AttestedAgent> {
    const caller = callerOf(call);
    if (!isAgent(caller)) {
      throw new TrustplaneError('ERR_API_CALLER', 'only an attested agent may call this');
    }
    const { svid, serialNumber } = caller;
    const { spiffeId, leaf } = svid;
    const presented = { serialNumber, expiresAt: leaf.notAfter };
    const agent = await this.#options.agents.authorize(spiffeId, presented);
    const { suspensions } = this.#options.revocations;
    suspensions.checkAgent(spiffeId);
    if (!this.#isRevoked(caller)) return agent;
    const message = `the SVID with serial ${serialNumber} of agent ${spiffeId.toString()} is revoked; it has to attest again`;
    throw new TrustplaneError('ERR_AGENT_NOT_ACTIVE', message);
  }

  /** The server below this one that makes a call; undefined when somebody else makes it. */
  downstreamOf(call: CallOfSomebody): Downstream | undefined {
    const caller = callerOf(call);
    if (caller.kind !== 'svid') return undefined;
    const { spiffeId } = caller.svid;
    const entry = this.#entryOf(caller, ({ downstream }) => downstream);
    return entry && { spiffeId, entry };
  }

  async #admit(audience: Audience, call: CallOfSomebody): Promise<void> {
    if (audience === 'anyone') return;
    if (audience === 'downstream') return this.#requireDownstream(call);
    const isForAgent = audience === 'agent' || (audience !== 'admin' && isAgent(callerOf(call)));
    if (isForAgent) this.#agents.set(call, await this.requireAgent(call));
    else this.#requireAdmin(call);
  }

  #requireAdmin(call: CallOfSomebody): void {
    const caller = callerOf(call);
    if (caller.kind === 'local') return;
    if (caller.kind === 'svid' && this.#entryOf(caller, ({ admin }) => admin)) return;
    throw new TrustplaneError('ERR_API_CALLER', 'only an administrator may call this');
  }

  #requireDownstream(call: CallOfSomebody): void {
    if (this.downstreamOf(call) !== undefined) return;
    throw new TrustplaneError(
      'ERR_API_CALLER',
      'only a workload with a downstream entry may call this',
    );
  }

  /**
   * An entry of the caller's ID, as it is now, that passes the test. An SVID that is revoked has none.
   * @throws TrustplaneError ERR_SVID_SUSPENDED when all that there are are suspended
   */
  #entryOf(
    caller: SvidCaller,
    test: (entry: RegistrationEntry) => boolean,
  ): RegistrationEntry | undefined {
    if (this.#isRevoked(caller)) return undefined;
    const { entries, revocations, clock } = this.#options;
    const { spiffeId } = caller.svid;
    const found = entries
      .list({ spiffeId }, { pageSize: 0, pageToken: '' })
      .entries.filter((entry) => test(entry) && isCurrent(entry, clock.now()));
    const subjectOf = ({ id }: RegistrationEntry) => ({ spiffeId, entryId: id });
    const open = found.find((one) => revocations.suspensions.find(subjectOf(one)) === undefined);
    if (open === undefined) for (const one of found) revocations.suspensions.check(subjectOf(one));
    return open;
  }

  #isRevoked({ svid, serialNumber }: SvidCaller): boolean {
    const { spiffeId, leaf } = svid;
    const agentId = spiffeId.path.startsWith(AGENT_PATH) ? spiffeId : undefined;
    const subject = { spiffeId, serialNumber, issuedAt: issueInstant(leaf), agentId };
    return this.#options.revocations.find(subject) !== undefined;
  }

  #guardStream(path: string, audience: Audience, handler: UntypedHandleCall): UntypedHandleCall {
    return (call: Stream): unknown =>
      this.#run(audience, call, [call], handler, path, (error) => call.emit('error', error));
  }

  #guardUnary(path: string, audience: Audience, handler: UntypedHandleCall): UntypedHandleCall {
    return (call: CallOfSomebody, respond: (error: Error) => void): unknown =>
      this.#run(audience, call, [call, respond], handler, path, respond);
  }

  async #run(
    audience: Audience,
    call: CallOfSomebody,
    args: unknown[],
    handler: UntypedHandleCall,
    path: string,
    fail: (error: Error) => void,
  ): Promise<void> {
    try {
      await this.#judge(audience, call, path);
      await Reflect.apply(handler, undefined, args);
    } catch (error) {
      const told = withReason(error);
      if (told === undefined) throw error;
      fail(told);
    }
  }

  async #judge(audience: Audience, call: CallOfSomebody, path: string): Promise<void> {
    try {
      await this.#admit(audience, call);
    } catch (error) {
      if (!(error instanceof TrustplaneError)) throw error;
      this.#denials.inc({ code: error.code });
      if (error.code !== 'ERR_API_CALLER') throw error;
      throw new TrustplaneError('ERR_API_CALLER', `${path}: ${error.message}`, { cause: error });
    }
  }
}

function isAgent(caller: Caller): caller is SvidCaller {
  return caller.kind === 'svid' && caller.svid.spiffeId.path.startsWith(AGENT_PATH);
}

interface Stream extends CallOfSomebody {
  emit(event: 'error', error: Error): boolean;
}

/** @throws TrustplaneError ERR_INTERNAL for what nobody may call */
function audienceOf(path: string): Audience {
  const [, service = '', method = ''] = path.split('/');
  const audience = audiences[service]?.[method];
  if (audience !== undefined) return audience;
  throw new TrustplaneError('ERR_INTERNAL', `nobody may call ${path}`);
}
