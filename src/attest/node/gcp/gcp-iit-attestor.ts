import type { Log } from '../../../ops/index.ts';
import type { Clock, TrustDomain } from '../../../spiffe/index.ts';
import { parseAgentPathTemplate } from '../agent-path-template.ts';
import type { KeySource } from '../cloud/key-source.ts';
import { refused } from '../cloud/refused.ts';
import { selectorsOf } from '../cloud/select.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import { type GcpInstance, verifyIdentityToken } from './identity-token.ts';

const NAME = 'gcp_iit';
const DEFAULT_TEMPLATE = '/gcp_iit/{{ .ProjectID }}/{{ .InstanceID }}';
const VARIABLES = new Map<string, (instance: GcpInstance) => string>([
  ['ProjectID', ({ projectId }) => projectId],
  ['ProjectNumber', ({ projectNumber }) => projectNumber],
  ['Zone', ({ zone }) => zone],
  ['InstanceID', ({ instanceId }) => instanceId],
  ['InstanceName', ({ instanceName }) => instanceName],
  ['ServiceAccount', ({ serviceAccount }) => serviceAccount.replaceAll('@', '_')],
]);

export interface GcpIitAttestorOptions {
  readonly trustDomain: TrustDomain;
  /** IDs of the projects whose instances may join; at least one. */
  readonly projects: ReadonlySet<string>;
  /** Google's. */
  readonly keys: KeySource;
  /** More facts about an instance, as parts of selectors; undefined: none. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD, ERR_NODE_ATTEST_INSTANCE */
  readonly describe?: ((instance: GcpInstance) => Promise<readonly string[]>) | undefined;
  /** Default `/gcp_iit/{{ .ProjectID }}/{{ .InstanceID }}`. */
  readonly agentPathTemplate?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The server's side of SPIRE's gcp_iit: the node shows an identity token of its metadata server. Anybody
 * on the instance can have one, so the first to show it is the agent.
 * @throws TrustplaneError ERR_NODE_ATTEST_TEMPLATE
 */
export function createGcpIitAttestor(options: GcpIitAttestorOptions): NodeAttestor {
  const { trustDomain, projects, keys, describe, clock, log } = options;
  const template = parseAgentPathTemplate(options.agentPathTemplate ?? DEFAULT_TEMPLATE, {
    attestor: NAME,
    trustDomain,
    isVariable: (name) => VARIABLES.has(name),
  });
  return {
    name: NAME,
    async attest(payload) {
      const instance = await verifyIdentityToken(payload, keys, clock.now());
      if (!projects.has(instance.projectId)) {
        const why = `nodes of the project ${instance.projectId} may not join`;
        throw refused('ERR_NODE_ATTEST_ACCOUNT', why);
      }
      const facts = [
        `project-id:${instance.projectId}`,
        `zone:${instance.zone}`,
        `instance-name:${instance.instanceName}`,
        `sa:${instance.serviceAccount}`,
        ...((await describe?.(instance)) ?? []),
      ];
      return {
        agentPath: template((name) => VARIABLES.get(name)?.(instance)),
        selectors: selectorsOf(NAME, facts, log),
        canReattest: false,
        isFirstUseOnly: true,
      };
    },
  };
}
