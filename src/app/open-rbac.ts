import type { ExtensionSource } from '../ecds/index.ts';
import type { FactsSource } from '../facts/index.ts';
import { limitLog } from '../ops/index.ts';
import type { PolicyTaker } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import type { OpenPolicySource } from './open-policy-source.ts';
import type { Process } from './process.ts';
import { RbacPool } from './rbac-pool.ts';
import type { RbacConfig } from './rbac-schema.ts';
import { createRbacSource } from './rbac-source.ts';
import { RbacTakers } from './rbac-takers.ts';

/** What rules for Envoys are made of. */
export interface RbacSources {
  readonly policies: OpenPolicySource;
  /** Whom to trust and who was revoked. */
  readonly facts: FactsSource;
  /** Told which Envoys decide by which policies of the control plane, those that are behind first. */
  readonly onEnvoys?: ((takers: readonly PolicyTaker[]) => void) | undefined;
}

const MAX_SHOWN = 8;
const DIGEST_DIGITS = 12;

/** Has the rules of the policies in force ready for the Envoys of this host; closed with `process`. */
export function openRbac(
  { rbac, ...callers }: AuthzConfig & { readonly rbac: RbacConfig },
  process: Process,
  { policies, facts, onEnvoys }: RbacSources,
): ExtensionSource {
  const { clock, closing, metrics, readiness } = process;
  // Envoys may refuse as often as they like.
  const log = limitLog(process.log, clock);
  const { source, compiler } = policies;
  const common = { clock, log, metrics, compiler };
  const pool = new RbacPool({ ...common, config: rbac, callers, policies: source, facts });
  closing.defer(() => pool.close());
  const onTakers = (takers: readonly PolicyTaker[]): void => {
    if (policies.isDelivered) onEnvoys?.(takers);
  };
  const takers = new RbacTakers({ ...common, pool, onTakers });
  closing.defer(() => takers.close());
  closing.defer(source.watch(() => takers.note()));
  readiness.observe('rbac', () => firstFault(takers.list()));
  readiness.describe('rbac', () => describe(takers.list(), source.current()?.digest));
  return createRbacSource({ pool, takers });
}

function firstFault(takers: readonly PolicyTaker[]): string | undefined {
  const faulty = takers.find(({ fault }) => fault !== undefined);
  return faulty && `${faulty.name}: ${faulty.fault}`;
}

/** Which Envoy has acknowledged what. */
function describe(takers: readonly PolicyTaker[], digest: string | undefined): string {
  if (takers.length === 0) return 'no Envoy asks for rules';
  const shown = takers.slice(0, MAX_SHOWN).map(({ name, digest: its, fault }) => {
    const has =
      its === undefined ? 'was given nothing yet' : `digest ${its.slice(0, DIGEST_DIGITS)}`;
    const state = fault !== undefined ? ', refused' : its === digest ? '' : ', behind';
    return `${name}: ${has}${state}`;
  });
  const more = takers.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
