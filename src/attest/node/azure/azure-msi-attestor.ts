import type { Log } from '../../../ops/index.ts';
import type { Clock, TrustDomain } from '../../../spiffe/index.ts';
import { parseAgentPathTemplate } from '../agent-path-template.ts';
import { refused } from '../cloud/refused.ts';
import { selectorsOf } from '../cloud/select.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import { type MachineIdentity, type TenantTerms, verifyMsiToken } from './msi-token.ts';

const NAME = 'azure_msi';
const DEFAULT_TEMPLATE = '/azure_msi/{{ .TenantID }}/{{ .PrincipalID }}';
const VARIABLES = new Map<string, (identity: MachineIdentity) => string>([
  ['TenantID', ({ tenantId }) => tenantId],
  ['PrincipalID', ({ principalId }) => principalId],
]);

/** A tenant whose machines may join. */
export interface AzureTenant extends TenantTerms {
  /** More facts about the machine of a principal, as parts of selectors; undefined: none. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD, ERR_NODE_ATTEST_INSTANCE */
  readonly describe?: ((principalId: string) => Promise<readonly string[]>) | undefined;
}

export interface AzureMsiAttestorOptions {
  readonly trustDomain: TrustDomain;
  /** By ID, lower-case; at least one. */
  readonly tenants: ReadonlyMap<string, AzureTenant>;
  /** Default `/azure_msi/{{ .TenantID }}/{{ .PrincipalID }}`. */
  readonly agentPathTemplate?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The server's side of SPIRE's azure_msi: the node shows a token of its managed identity. Anybody on the
 * machine can have one, so the first to show it is the agent.
 * @throws TrustplaneError ERR_NODE_ATTEST_TEMPLATE
 */
export function createAzureMsiAttestor(options: AzureMsiAttestorOptions): NodeAttestor {
  const { trustDomain, tenants, clock, log } = options;
  const template = parseAgentPathTemplate(options.agentPathTemplate ?? DEFAULT_TEMPLATE, {
    attestor: NAME,
    trustDomain,
    isVariable: (name) => VARIABLES.has(name),
  });
  return {
    name: NAME,
    async attest(payload) {
      const identity = await verifyMsiToken(payload, tenants, clock.now());
      const describe = tenants.get(identity.tenantId)?.describe;
      const facts = (await describe?.(identity.principalId)) ?? signedFacts(identity);
      return {
        agentPath: template((name) => VARIABLES.get(name)?.(identity)),
        selectors: selectorsOf(NAME, facts, log),
        canReattest: false,
        isFirstUseOnly: true,
      };
    },
  };
}

/** What the token itself says of the machine. Others than machines hold identities that are assigned. */
function signedFacts({ machine, principalId }: MachineIdentity): readonly string[] {
  if (machine === undefined) {
    const why = `the identity ${principalId} is not a machine's own; whose it is would have to be asked of Azure`;
    throw refused('ERR_NODE_ATTEST_CLAIMS', why);
  }
  const { subscriptionId, resourceGroup, name } = machine;
  return [`subscription-id:${subscriptionId}`, `vm-name:${resourceGroup}:${name}`];
}
