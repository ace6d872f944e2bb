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
import type { RbacTakers } from './rbac-takers.ts';

export interface RbacSourceOptions {
  readonly pool: RbacPool;
  readonly takers: RbacTakers;
}

/** Gives each Envoy the rules of its services. */
export function createRbacSource(options: RbacSourceOptions): ExtensionSource {
  return { open: (client, onChange) => new RbacView(options, client, onChange) };
}

class RbacView implements ExtensionView {
  readonly #options: RbacSourceOptions;
  readonly #client: ExtensionClient;
  readonly #onChange: () => void;
  /** By name. */
  readonly #rules = new Map<string, EnvoyRules>();

  constructor(options: RbacSourceOptions, client: ExtensionClient, onChange: () => void) {
    this.#options = options;
    this.#client = client;
    this.#onChange = onChange;
  }

  resolve(name: ResourceName): ExtensionConfig | 'pending' | 'refused' {
    const rules = this.#rules.get(name.text) ?? this.#open(name);
    return rules.resolve();
  }

  onVerdict(name: string, version: string, refusal: string | undefined): void {
    this.#rules.get(name)?.onVerdict(version, refusal);
  }

  close(): void {
    for (const rules of this.#rules.values()) {
      rules.close();
      this.#options.takers.remove(this.#client, rules);
    }
    this.#rules.clear();
  }

  #open(name: ResourceName): EnvoyRules {
    const { pool, takers } = this.#options;
    const target = targetOf(name, this.#client);
    if (typeof target === 'string') takers.onNone(this.#client, name.text, target);
    const rules = new EnvoyRules({
      name: name.text,
      target,
      pool,
      onChange: this.#onChange,
      onState: () => takers.note(),
      onNack: (nack) => takers.onNack(this.#client, nack),
    });
    this.#rules.set(name.text, rules);
    takers.add(this.#client, rules);
    return rules;
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
