import type { FactsReport } from '../facts/index.ts';
import type { PolicyTaker } from '../spiffe/index.ts';
import type { Config } from './config.ts';

/** This process asks the servers for the policies of the control plane. */
export function takesPolicies({
  authz,
  takePolicies,
}: Pick<Config, 'authz' | 'takePolicies'>): boolean {
  return takePolicies || isDelivered(authz?.policies);
}

function isDelivered(place: NonNullable<Config['authz']>['policies'] | undefined): boolean {
  return typeof place === 'object';
}

/** Who decides by the policies of the control plane on this host: the own process, programs that read its facts, and Envoys. */
export class HostTakers {
  readonly #onTakers: (takers: readonly PolicyTaker[]) => void;
  #own: readonly PolicyTaker[] = [];
  #envoys: readonly PolicyTaker[] = [];
  #others: readonly PolicyTaker[] = [];

  /** @param onTakers told of all, after each change */
  constructor(onTakers: (takers: readonly PolicyTaker[]) => void) {
    this.#onTakers = onTakers;
  }

  setOwn(taker: PolicyTaker): void {
    this.#own = [taker];
    this.#tell();
  }

  /** Those that decide by the rules that this process gives them. */
  setEnvoys(takers: readonly PolicyTaker[]): void {
    this.#envoys = takers;
    this.#tell();
  }

  /** Those that go by policies of their own say no version, and are no matter of the servers. */
  setOthers(reports: readonly FactsReport[]): void {
    this.#others = reports.flatMap(({ name, hash, digest, since, fault, refused }) =>
      hash === undefined && refused === undefined && digest !== undefined
        ? []
        : [{ name, hash, digest, since, fault, refused }],
    );
    this.#tell();
  }

  #tell(): void {
    this.#onTakers([...this.#own, ...this.#others, ...this.#envoys]);
  }
}
