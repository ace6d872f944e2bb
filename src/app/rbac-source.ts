import { layoutFor } from '../authz/rbac/index.ts';
import type {
  ExtensionClient,
  ExtensionConfig,
  ExtensionSource,
  ExtensionView,
  ResourceName,
} from '../ecds/index.ts';
import { messageOf } from '../spiffe/index.ts';
import { EnvoyRules } from './envoy-rules.ts';
import type { RbacTarget } from './rbac-export.ts';
import type { RbacPool } from './rbac-pool.ts';
import { RbacQuota } from './rbac-quota.ts';
import type { RbacTakers } from './rbac-takers.ts';

export interface RbacSourceOptions {
  readonly pool: RbacPool;
  readonly takers: RbacTakers;
}

/** Gives each Envoy the rules of its services. */
export function createRbacSource(options: RbacSourceOptions): ExtensionSource {
  const ground = { ...options, quota: new RbacQuota() };
  return { open: (client, onChange) => new RbacView(ground, client, onChange) };
}

interface RbacViewGround extends RbacSourceOptions {
  readonly quota: RbacQuota;
}

interface OpenRules {
  readonly rules: EnvoyRules;
  /** Gives back what it counts for. */
  readonly leave: () => void;
}

class RbacView implements ExtensionView {
  readonly #ground: RbacViewGround;
  readonly #client: ExtensionClient;
  readonly #onChange: () => void;
  /** By name. */
  readonly #open = new Map<string, OpenRules>();

  constructor(ground: RbacViewGround, client: ExtensionClient, onChange: () => void) {
    this.#ground = ground;
    this.#client = client;
    this.#onChange = onChange;
  }

  resolve(name: ResourceName): ExtensionConfig | 'pending' | 'refused' {
    return (this.#open.get(name.text) ?? this.#enter(name))?.rules.resolve() ?? 'refused';
  }

  onVerdict(name: string, version: string, refusal: string | undefined): void {
    this.#open.get(name)?.rules.onVerdict(version, refusal);
  }

  close(): void {
    for (const { rules, leave } of this.#open.values()) {
      rules.close();
      leave();
      this.#ground.takers.remove(this.#client, rules);
    }
    this.#open.clear();
  }

  /** What there is no room for is not remembered, so that it costs nothing. */
  #enter(name: ResourceName): OpenRules | undefined {
    const { quota, takers } = this.#ground;
    const target = targetOf(name, this.#client);
    const service = String(name.spiffeId ?? this.#client.ids[0]);
    const named = name.policy === undefined ? undefined : name.text;
    const lack = quota.enter(service, named);
    const none = lack ?? (typeof target === 'string' ? target : undefined);
    if (none !== undefined) takers.onNone(this.#client, name.text, none);
    if (lack !== undefined) return undefined;
    const rules = this.#rulesOf(name.text, target);
    const open = { rules, leave: () => quota.leave(service, named) };
    this.#open.set(name.text, open);
    takers.add(this.#client, rules);
    return open;
  }

  #rulesOf(name: string, target: RbacTarget | string): EnvoyRules {
    const { pool, takers } = this.#ground;
    return new EnvoyRules({
      name,
      target,
      pool,
      onChange: this.#onChange,
      onState: () => takers.note(),
      onNack: (nack) => takers.onNack(this.#client, nack),
    });
  }
}

/** Or why there is none. */
function targetOf(
  { text, kind, spiffeId, policy }: ResourceName,
  { ids, version }: ExtensionClient,
): RbacTarget | string {
  const [first] = ids;
  const id = spiffeId ?? first;
  if (id === undefined || !ids.some((own) => own.equals(id)))
    return 'it asks for the rules of a service that it is not';
  if (version === undefined)
    return 'it does not say that it is Envoy, and which one (node.user_agent_build_version)';
  try {
    return {
      name: text,
      service: { spiffeId: id.toString(), contextExtension: policy },
      kind,
      layout: layoutFor(version),
    };
  } catch (error) {
    return `${messageOf(error)}; it may ask about each request instead (ext_authz)`;
  }
}
