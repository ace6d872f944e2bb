import { describe, expect, it } from 'vitest';
import {
  type ExplainWorld,
  openExplainWorld,
  remoteAgentId,
} from '../../test/fakes/explain-world.ts';
import { bundleOf } from '../../test/fakes/fake-svid-issuer.ts';
import { createProgram } from '../cli/program.ts';
import { type FindingCode, findingCodes } from '../explain/index.ts';
import { SpiffeId, TrustDomain, TrustplaneError } from '../spiffe/index.ts';

const WEB = 'spiffe://a.test/web';
const id = (text: string): SpiffeId => SpiffeId.parse(text);
const error = (code: ConstructorParameters<typeof TrustplaneError>[0], message = 'so it is') =>
  new TrustplaneError(code, message);

interface Situation {
  readonly name: string;
  readonly isRemote?: true;
  /** Makes it so, and asks. */
  readonly explain: (world: ExplainWorld) => Promise<readonly Explained[]>;
  readonly top: FindingCode;
  readonly next: RegExp | string;
  readonly verdict: 'served' | 'waiting' | 'refused' | 'entitled' | 'unknown';
  readonly also?: FindingCode;
}

interface Explained {
  readonly verdict: string;
  readonly findings: readonly { readonly code: string; readonly nextStep: string }[];
}

/** What the server answers its administrators. */
async function whatIf(world: ExplainWorld, request: object): Promise<readonly Explained[]> {
  const { explanations } = await world.whatIf(request);
  return explanations.map(({ verdict, findings }) => ({
    verdict,
    findings: findings.map(({ code, next_step: nextStep }) => ({ code, nextStep })),
  }));
}

const atRemote = { spiffe_id: WEB, agent_id: remoteAgentId, selectors: ['unix:uid:1000'] };

const situations: readonly Situation[] = [
  {
    name: 'entitled and served',
    async explain(world) {
      await world.create('web');
      await world.ask(['default']);
      return await world.explain();
    },
    top: 'served',
    next: '',
    verdict: 'served',
  },
  {
    name: 'no entry anywhere near',
    explain: (world) => world.explain(),
    top: 'no-entry',
    next: /^trustplane entry create --spiffe-id spiffe:\/\/a\.test\/… --parent-id .* --selector unix:uid:1000$/u,
    verdict: 'refused',
  },
  {
    name: 'another user than the entry wants',
    async explain(world) {
      await world.create('web', ['unix:uid:1001', 'unix:gid:1000']);
      return await world.explain();
    },
    top: 'selector-differs',
    next: 'trustplane entry update web --selector unix:gid:1000 --selector unix:uid:1000',
    verdict: 'refused',
  },
  {
    name: 'a selector that nobody finds',
    async explain(world) {
      await world.create('web', ['unix:uid:1000', 'docker:label:app:web']);
      return await world.explain();
    },
    top: 'missing-selector',
    next: 'trustplane entry update web --selector unix:uid:1000',
    verdict: 'refused',
  },
  {
    name: 'another program than the entry names',
    async explain(world) {
      await world.create('web', ['unix:uid:1000', 'unix:path:/opt/web']);
      return await world.explain();
    },
    top: 'executable-differs',
    next: /--selector unix:path:\/usr\/bin\/web, or run \/opt\/web$/u,
    verdict: 'refused',
  },
  {
    name: 'the nearest of several, asked for by its ID',
    async explain(world) {
      await world.create('other', ['unix:uid:1000', 'unix:gid:1']);
      await world.create('web', ['unix:uid:7']);
      return await world.explain({ spiffeId: id(WEB) });
    },
    top: 'selector-differs',
    next: 'trustplane entry update web --selector unix:uid:1000',
    verdict: 'refused',
  },
  {
    name: 'an entry below another agent, at the server',
    isRemote: true,
    async explain(world) {
      await world.create('web', undefined, { parentId: 'spiffe://a.test/spire/agent/x509pop/two' });
      return await whatIf(world, atRemote);
    },
    top: 'wrong-parent',
    next: /^trustplane entry update web --parent-id /u,
    verdict: 'refused',
  },
  {
    name: 'an entry below another agent, at the agent, which is told nothing of it',
    isRemote: true,
    async explain(world) {
      await world.create('web', undefined, { parentId: 'spiffe://a.test/spire/agent/x509pop/two' });
      return await world.explain({ spiffeId: id(WEB) });
    },
    top: 'no-entry-for-id',
    next: /^trustplane explain --spiffe-id spiffe:\/\/a\.test\/web --agent .*x509pop\/one --selector unix:gid:1000 .*on the server$/u,
    verdict: 'refused',
  },
  {
    name: 'a parent that nothing has',
    async explain(world) {
      await world.create('web', undefined, { parentId: 'spiffe://a.test/host' });
      return await world.explain();
    },
    top: 'parent-missing',
    next: /^trustplane entry create --node --spiffe-id spiffe:\/\/a\.test\/host /u,
    verdict: 'refused',
  },
  {
    name: 'a parent whose parent nothing has',
    async explain(world) {
      await world.create('host', ['unix:uid:5'], { parentId: 'spiffe://a.test/region' });
      await world.create('web', undefined, { parentId: 'spiffe://a.test/host' });
      return await world.explain({ spiffeId: id(WEB) });
    },
    top: 'parent-missing',
    next: /--spiffe-id spiffe:\/\/a\.test\/region /u,
    verdict: 'refused',
  },
  {
    name: 'a node alias that the node does not show',
    isRemote: true,
    async explain(world) {
      await world.create('hosts', ['x509pop:subject:cn:two'], {
        parentId: 'spiffe://a.test/spire/server',
      });
      await world.create('web', undefined, { parentId: 'spiffe://a.test/hosts' });
      return await whatIf(world, atRemote);
    },
    top: 'alias-not-shown',
    next: /^trustplane entry show --spiffe-id spiffe:\/\/a\.test\/hosts;/u,
    verdict: 'refused',
  },
  {
    name: 'an entry that has expired',
    async explain(world) {
      await world.create('web', undefined, { expiresAtSeconds: world.clock.now() / 1_000 + 60 });
      await world.clock.advanceAsync(61_000);
      return await world.explain();
    },
    top: 'entry-expired',
    next: `trustplane entry create --spiffe-id ${WEB} --parent-id spiffe://a.test/spire/agent/local/up --selector unix:uid:1000`,
    verdict: 'refused',
  },
  {
    name: 'an entry that was deleted, asked of the server by its agent',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      await world.entries.delete('web');
      world.sync();
      return await world.explain();
    },
    top: 'entry-deleted',
    next: /^trustplane entry create --spiffe-id spiffe:\/\/a\.test\/web /u,
    verdict: 'refused',
  },
  {
    name: 'an agent that is behind its server',
    isRemote: true,
    async explain(world) {
      const sync = world.sync;
      world.sync = () => {};
      await world.create('web');
      world.sync = sync;
      return await world.explain();
    },
    top: 'agent-behind',
    next: 'trustplane status --agent',
    verdict: 'waiting',
  },
  {
    name: 'an agent that was told nothing yet',
    isRemote: true,
    async explain(world) {
      world.told.isComplete = false;
      world.setAskFailure(error('ERR_NODE_NO_IDENTITY'));
      return await world.explain();
    },
    top: 'not-synced',
    next: 'trustplane status --agent',
    verdict: 'waiting',
  },
  {
    name: 'a SPIFFE ID that is suspended',
    async explain(world) {
      await world.create('web');
      await world.suspensions.suspend({
        kind: 'spiffe-id',
        value: WEB,
        reason: 'stolen',
        by: 'user root',
      });
      return await world.explain();
    },
    top: 'id-suspended',
    next: `trustplane unsuspend --spiffe-id ${WEB}, on the server`,
    verdict: 'refused',
  },
  {
    name: 'an entry that is suspended, as its agent is told',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      await world.suspensions.suspend({
        kind: 'entry',
        value: 'web',
        reason: 'stolen',
        by: 'user root',
      });
      world.sync();
      return await world.explain();
    },
    top: 'entry-suspended',
    next: 'trustplane unsuspend --entry web, on the server',
    verdict: 'refused',
  },
  {
    name: 'an agent that is suspended',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      const value = remoteAgentId;
      await world.suspensions.suspend({ kind: 'agent', value, reason: 'stolen', by: 'user root' });
      world.sync();
      return await world.explain();
    },
    top: 'agent-suspended',
    next: `trustplane unsuspend --agent ${remoteAgentId}, on the server`,
    verdict: 'refused',
  },
  {
    name: 'an agent that is banned, as it knows',
    isRemote: true,
    async explain(world) {
      await world.agents.ban(world.agentId);
      world.status.faults = [error('ERR_AGENT_BANNED')];
      world.setAskFailure(error('ERR_AGENT_BANNED'));
      return await world.explain();
    },
    top: 'agent-banned',
    next: `trustplane agent evict ${remoteAgentId}, on the server`,
    verdict: 'refused',
  },
  {
    name: 'an agent that is banned, as the server knows',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      await world.agents.ban(world.agentId);
      return await whatIf(world, atRemote);
    },
    top: 'agent-banned',
    next: `trustplane agent evict ${remoteAgentId}, on the server`,
    verdict: 'refused',
  },
  {
    name: 'an agent that was evicted',
    isRemote: true,
    async explain(world) {
      await world.agents.delete(world.agentId);
      world.status.faults = [error('ERR_AGENT_NOT_ATTESTED')];
      world.setAskFailure(error('ERR_AGENT_NOT_ATTESTED'));
      return await world.explain();
    },
    top: 'agent-not-joined',
    next: /^trustplane token generate, on the server/u,
    verdict: 'refused',
  },
  {
    name: 'an agent whose own SVID has expired',
    isRemote: true,
    async explain(world) {
      const at = world.clock.now() - 1_000;
      Object.assign(world.status, { agentId: undefined, expiresAt: undefined });
      world.status.lapsed = { agentId: world.agentId, at };
      world.setAskFailure(error('ERR_NODE_NO_IDENTITY'));
      return await world.explain();
    },
    top: 'agent-svid-expired',
    next: /^trustplane status --agent; /u,
    verdict: 'refused',
  },
  {
    name: 'a server that is down while nothing is known',
    isRemote: true,
    async explain(world) {
      const fault = error('ERR_NODE_UNREACHABLE', 'server.a.test:8081: nothing answers');
      Object.assign(world.status, { server: undefined, faults: [fault] });
      world.setAskFailure(fault);
      return await world.explain();
    },
    top: 'server-unreachable',
    next: 'trustplane status --agent; is server.a.test:8081 up, and reachable from this host?',
    verdict: 'waiting',
  },
  {
    name: 'a server that is down while all is served',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      await world.ask(['default']);
      const fault = error('ERR_NODE_UNREACHABLE', 'server.a.test:8081: nothing answers');
      Object.assign(world.status, { server: undefined, faults: [fault] });
      world.setAskFailure(fault);
      return await world.explain();
    },
    top: 'served',
    next: '',
    verdict: 'served',
  },
  {
    name: 'a SPIRE server, which does not explain',
    isRemote: true,
    async explain(world) {
      world.setAskFailure(error('ERR_REMOTE_UNIMPLEMENTED'));
      return await world.explain();
    },
    top: 'no-entry',
    next: /^trustplane entry create /u,
    verdict: 'refused',
    also: 'server-cannot-say',
  },
  {
    name: 'an attestor that takes too long',
    async explain(world) {
      world.attestors.push({
        name: 'docker',
        attest: () => Promise.reject(error('ERR_ATTEST_TIMEOUT')),
      });
      await world.create('web', ['unix:uid:1000', 'docker:label:app:web']);
      return await world.explain();
    },
    top: 'attestor-timed-out',
    next: 'docker info; then let the workload ask again',
    verdict: 'refused',
    also: 'missing-selector',
  },
  {
    name: 'an attestor that fails',
    async explain(world) {
      world.attestors.push({ name: 'k8s', attest: () => Promise.reject(new Error('no kubelet')) });
      await world.create('web', ['unix:uid:1000', 'k8s:ns:prod']);
      return await world.explain();
    },
    top: 'attestor-failed',
    next: /^kubectl get --raw \/healthz/u,
    verdict: 'refused',
  },
  {
    name: 'an attestor that fails, and does not matter',
    async explain(world) {
      world.attestors.push({ name: 'k8s', attest: () => Promise.reject(new Error('no kubelet')) });
      await world.create('web', ['unix:uid:1001']);
      return await world.explain();
    },
    top: 'selector-differs',
    next: 'trustplane entry update web --selector unix:uid:1000',
    verdict: 'refused',
  },
  {
    name: 'all attestors fail',
    async explain(world) {
      world.attestors.splice(0, 1, {
        name: 'unix',
        attest: () => Promise.reject(new Error('no /proc')),
      });
      return await world.explain();
    },
    top: 'attestation-failed',
    next: /^trustplane log-level set debug /u,
    verdict: 'refused',
  },
  {
    name: 'a pid that nobody has',
    async explain(world) {
      world.processes.find = () => undefined;
      return await world.explain({ pids: [4711] });
    },
    top: 'process-gone',
    next: /^ps -p 4711;/u,
    verdict: 'refused',
  },
  {
    name: 'a process that exits while it is attested',
    async explain(world) {
      world.attestors.splice(0, 1, {
        name: 'unix',
        attest: () => Promise.reject(error('ERR_ATTEST_PROCESS_GONE')),
      });
      return await world.explain();
    },
    top: 'process-gone',
    next: /^ps -p \d+;/u,
    verdict: 'refused',
  },
  {
    name: 'a pid that another process has now',
    async explain(world) {
      await world.create('web');
      await world.ask(['default']);
      const find = world.processes.find;
      world.processes.find = (pid) => {
        const present = find(pid);
        return present && { ...present, startTime: '1' };
      };
      return await world.explain();
    },
    top: 'pid-reused',
    next: /after it has connected$/u,
    verdict: 'refused',
  },
  {
    name: 'a process that has another user than when it connected',
    async explain(world) {
      world.attestors.splice(0, 1, {
        name: 'unix',
        attest: () => Promise.reject(error('ERR_ATTEST_PROCESS_CHANGED')),
      });
      return await world.explain();
    },
    top: 'process-changed',
    next: /^let process \d+ connect after it has changed its user/u,
    verdict: 'refused',
  },
  {
    name: 'a container that is not here',
    explain: (world) => world.explain({ containerId: '3f4e9a1b2c3d' }),
    top: 'container-unknown',
    next: /^docker ps --no-trunc/u,
    verdict: 'refused',
  },
  {
    name: 'a container that is here',
    async explain(world) {
      world.processes.inContainer = async () => [process.pid];
      await world.create('web', ['unix:uid:1001']);
      return await world.explain({ containerId: '3f4e9a1b2c3d' });
    },
    top: 'selector-differs',
    next: 'trustplane entry update web --selector unix:uid:1000',
    verdict: 'refused',
  },
  {
    name: 'an Envoy that is not here',
    explain: (world) => world.explain({ envoyNodeId: 'envoy-2' }),
    top: 'envoy-unknown',
    next: /--service-node/u,
    verdict: 'refused',
  },
  {
    name: 'a name that nobody is entitled to, over SDS',
    async explain(world) {
      await world.create('web');
      await world.ask(['spiffe://a.test/db'], 'none', false);
      return await world.explain({ envoyNodeId: 'envoy-1' });
    },
    top: 'name-nobody',
    next: 'trustplane entry create --spiffe-id spiffe://a.test/db --selector …, or ask for spiffe://a.test/web',
    verdict: 'served',
  },
  {
    name: 'a name of another workload, over SDS',
    async explain(world) {
      await world.create('db', ['unix:uid:7']);
      await world.create('web');
      const former = world.shown.splice(0, 1, 'unix:uid:7');
      await world.ask(['default']);
      const entitled = world.entries.get('db');
      world.shown.splice(0, 1, ...former);
      await world.ask([entitled?.spiffeId.toString() ?? ''], 'none', false);
      return await world.explain({ envoyNodeId: 'envoy-1', resourceName: 'spiffe://a.test/db' });
    },
    top: 'name-of-another',
    next: 'ask for spiffe://a.test/web instead, or change entry db',
    verdict: 'waiting',
  },
  {
    name: 'a name that is none',
    async explain(world) {
      await world.create('web');
      await world.ask(['web-cert'], 'none', false);
      return await world.explain({ envoyNodeId: 'envoy-1', resourceName: 'web-cert' });
    },
    top: 'name-unknown',
    next: 'name a SPIFFE ID, or one of default, ROOTCA, ALL, in the Envoy configuration',
    verdict: 'waiting',
  },
  {
    name: 'ROOTCA is there, and the bundle of a federated trust domain is not',
    async explain(world) {
      await world.create('web');
      await world.ask(['ROOTCA', 'spiffe://b.test']);
      return await world.explain({ envoyNodeId: 'envoy-1', resourceName: 'spiffe://b.test' });
    },
    top: 'federation-missing',
    next: 'trustplane entry update web --federates-with b.test',
    verdict: 'waiting',
  },
  {
    name: 'an entry federates with a trust domain whose bundle is not known',
    async explain(world) {
      await world.create('web', undefined, { federatesWith: ['b.test'] });
      await world.ask(['ROOTCA', 'spiffe://b.test']);
      return await world.explain({ envoyNodeId: 'envoy-1', resourceName: 'spiffe://b.test' });
    },
    top: 'bundle-unknown',
    next: 'trustplane federation show b.test; trustplane federation refresh b.test',
    verdict: 'waiting',
  },
  {
    name: 'an entry federates with a trust domain whose bundle is known',
    async explain(world) {
      const { trust, issuer } = world;
      trust.set(
        issuer.bundle(),
        bundleOf(TrustDomain.parse('b.test'), issuer.bundle().x509Authorities, 1n),
      );
      await world.create('web', undefined, { federatesWith: ['b.test'] });
      await world.ask(['spiffe://b.test']);
      return await world.explain({ envoyNodeId: 'envoy-1', resourceName: 'spiffe://b.test' });
    },
    top: 'served',
    next: '',
    verdict: 'served',
  },
  {
    name: 'an Envoy that refuses what it is sent',
    async explain(world) {
      await world.create('web');
      await world.ask(['default'], 'nack');
      return await world.explain({ envoyNodeId: 'envoy-1' });
    },
    top: 'nack',
    next: 'trustplane envoy lint FILE, with the configuration of that Envoy',
    verdict: 'served',
  },
  {
    name: 'an Envoy that does not answer',
    async explain(world) {
      await world.create('web');
      await world.ask(['default'], 'none');
      await world.clock.advanceAsync(6_000);
      return await world.explain({ envoyNodeId: 'envoy-1' });
    },
    top: 'not-acked',
    next: /^curl the admin interface/u,
    verdict: 'served',
  },
  {
    name: 'a JWT-SVID that was refused',
    async explain(world) {
      await world.create('web');
      await world.ask(['default']);
      const { pid } = process;
      const call = {
        service: 'FetchJWTSVID',
        pid,
        uid: 0,
        startTime: '1',
        node: '',
        openedAt: world.clock.now(),
      };
      const resources = [{ type: 'JWT-SVID', name: 'db', state: 'waiting' }] as const;
      world.streams.open(() => ({ ...call, resources }))('nobody signs (ERR_SVID_ISSUE)');
      return await world.explain();
    },
    top: 'jwt-refused',
    next: 'trustplane api fetch jwt --audience db, as the workload',
    verdict: 'served',
  },
  {
    name: 'an SVID that is on its way',
    async explain(world) {
      world.issuer.hold();
      await world.create('web');
      await world.ask(['default'], 'none', false);
      return await world.explain();
    },
    top: 'svid-pending',
    next: /^ask again in some seconds/u,
    verdict: 'waiting',
  },
  {
    name: 'a rate limit',
    async explain(world) {
      world.issuer.failure = error('ERR_API_RATE_LIMIT');
      await world.create('web');
      await world.ask(['default'], 'none', false);
      return await world.explain();
    },
    top: 'rate-limited',
    next: /^raise server\.rateLimits\.signing/u,
    verdict: 'waiting',
  },
  {
    name: 'an issuance that is refused',
    async explain(world) {
      world.issuer.refused.add('web');
      await world.create('web');
      await world.ask(['default'], 'none', false);
      return await world.explain();
    },
    top: 'issuance-refused',
    next: /docs\/reference\/errors\.md/u,
    verdict: 'waiting',
  },
  {
    name: 'an authority that has expired',
    async explain(world) {
      world.issuer.failure = error('ERR_CA_EXPIRED');
      await world.create('web');
      await world.ask(['default'], 'none', false);
      return await world.explain();
    },
    top: 'authority-expired',
    next: 'trustplane authority x509 show, on the server',
    verdict: 'waiting',
  },
  {
    name: 'an authority that the bundle does not have yet',
    async explain(world) {
      world.issuer.prepareAuthority()();
      await world.create('web');
      await world.ask(['default'], 'none', false);
      return await world.explain();
    },
    top: 'authority-unknown',
    next: /^trustplane authority x509 show/u,
    verdict: 'waiting',
  },
  {
    name: 'what was issued is revoked, and the next one is not here',
    async explain(world) {
      const entry = await world.create('web');
      await world.ask(['default']);
      world.issuer.hold();
      world.revocations.revokeId(entry.spiffeId, world.clock.now());
      await world.clock.advanceAsync(1);
      return await world.explain();
    },
    top: 'svid-revoked',
    next: 'trustplane revocation list, on the server',
    verdict: 'waiting',
  },
  {
    name: 'a renewal that fails while the SVID is good',
    async explain(world) {
      await world.create('web');
      await world.ask(['default']);
      world.issuer.failure = error('ERR_NODE_UNREACHABLE');
      await world.clock.advanceAsync(2_000_000);
      return await world.explain();
    },
    top: 'renewal-failing',
    next: 'trustplane status --agent',
    verdict: 'served',
    also: 'served',
  },
  {
    name: 'nobody asks',
    async explain(world) {
      await world.create('web');
      return await world.explain();
    },
    top: 'not-asked',
    next: /^trustplane api fetch x509, as the workload/u,
    verdict: 'waiting',
  },
  {
    name: 'an entry for an SVID store',
    async explain(world) {
      await world.create('web', undefined, { storeSvid: true });
      return await world.explain();
    },
    top: 'store-svid-only',
    next: 'trustplane entry update web --no-store-svid',
    verdict: 'refused',
  },
  {
    name: 'two entries for the same ID',
    async explain(world) {
      await world.create('web');
      await world.create('again', ['unix:gid:1000'], { spiffeId: WEB });
      await world.ask(['default']);
      return await world.explain();
    },
    top: 'duplicate-entries',
    next: 'trustplane entry delete web, if it is not needed',
    verdict: 'served',
    also: 'served',
  },
  {
    name: 'two entries with one hint',
    async explain(world) {
      await world.create('web', undefined, { hint: 'internal' });
      await world.create('xweb', undefined, { hint: 'internal' });
      await world.ask(['default']);
      return await world.explain();
    },
    top: 'hint-shadowed',
    next: 'trustplane entry update xweb --hint OTHER',
    verdict: 'served',
  },
  {
    name: 'rights and names of an identity',
    async explain(world) {
      await world.create('web', undefined, {
        admin: true,
        downstream: true,
        dnsNames: ['web.a.test'],
        disableX509SvidPrefetch: true,
      });
      await world.ask(['default']);
      const [explanation] = await world.explain();
      expect(explanation?.findings.map(({ code }) => code)).toEqual([
        'served',
        'admin-identity',
        'downstream-identity',
        'prefetch-disabled',
        'dns-names',
      ]);
      return explanation === undefined ? [] : [explanation];
    },
    top: 'served',
    next: '',
    verdict: 'served',
  },
  {
    name: 'what a server would do',
    isRemote: true,
    async explain(world) {
      await world.create('web');
      return await whatIf(world, atRemote);
    },
    top: 'entitled',
    next: `trustplane explain --spiffe-id ${WEB}, on the host of the agent`,
    verdict: 'entitled',
  },
];

describe('explain', () => {
  it.each(situations)(
    '$name: $top',
    async ({ isRemote = false, explain, top, next, verdict, also }) => {
      const world = await openExplainWorld({ isRemote });
      const [explanation] = await explain(world);
      const codes = explanation?.findings.map(({ code }) => code);
      expect([codes?.[0], explanation?.verdict]).toEqual([top, verdict]);
      const nextStep = explanation?.findings[0]?.nextStep ?? '';
      const isSo = typeof next === 'string' ? nextStep === next : next.test(nextStep);
      expect([nextStep, isSo]).toEqual([nextStep, true]);
      expect(codes).toEqual(expect.arrayContaining(also === undefined ? [] : [also]));
      for (const finding of explanation?.findings ?? []) checkCommands(finding.nextStep);
    },
  );

  it('has a situation for each code', () => {
    const shown = new Set<string>(
      situations.flatMap(({ top, also }) => [top, ...(also === undefined ? [] : [also])]),
    );
    const notes = ['admin-identity', 'downstream-identity', 'prefetch-disabled', 'dns-names'];
    // What only a server is asked.
    const ofServer = ['serial-revoked', 'serial-unknown', 'serial-expired', 'serial-good'];
    const others = [...ofServer, 'revoked-before', ...notes];
    expect(Object.keys(findingCodes).filter((code) => !shown.has(code))).toEqual(others);
  });
});

/** Commands of trustplane that a next step names have these flags. */
function checkCommands(nextStep: string): void {
  const io = { out: () => {}, err: () => {}, env: {}, uid: 0 };
  for (const part of nextStep.split(/[;,] (?:or )?/u)) {
    const [program, ...words] = part.split(' ');
    if (program !== 'trustplane') continue;
    let command = createProgram(io);
    while (words.length > 0) {
      const sub = command.commands.find((one) => one.name() === words[0]);
      if (sub === undefined) break;
      command = sub;
      words.shift();
    }
    const flags = words.filter((word) => word.startsWith('--'));
    const known = command.options.map(({ long }) => long);
    expect([part, flags.filter((flag) => !known.includes(flag))]).toEqual([part, []]);
    expect([part, command.name()]).not.toEqual([part, 'trustplane']);
  }
}
