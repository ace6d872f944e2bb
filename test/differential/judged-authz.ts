import path from 'node:path';
import { buildAuthz } from '../../src/app/authz-config.ts';
import { createProcess } from '../../src/app/process.ts';
import { startAuthz } from '../../src/app/start-authz.ts';
import { packPlan, policySchema } from '../../src/authz/index.ts';
import { FactsFeed } from '../../src/facts/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { callerOptions } from './engine.ts';
import type { PolicyDocument } from './policy-document.ts';
import { domains } from './random-policies.ts';

/** Our authorization server as it is run, on a thread of its own. Closed with what it returns. */
export async function startJudgedAuthz(
  folder: string,
  shapes: CertificateShapes,
  documents: readonly PolicyDocument[],
): Promise<AsyncDisposable & { readonly socket: string }> {
  const socket = path.join(folder, 'authz.sock');
  const policies = documents.map((document) =>
    policySchema.parse({ apiVersion: 'trustplane/v1', kind: 'Policy', ...document }),
  );
  const set = { digest: 'digest', image: packPlan(policies, 'digest'), rules: policies.length };
  const { own, federated, terms } = shapes.trust.current();
  const facts = {
    trust: { own: { ...own, sequenceNumber: 1n }, federated, terms },
    revocations: shapes.revocations.list.map((one, at) => ({ ...one, id: `r${at}` })),
  };
  const source = { current: () => facts, watch: () => () => {} };
  const config = buildAuthz({ socket, policies: folder, ...callerOptions, assertion: {} });
  if (config === undefined) throw new Error('there is no configuration');
  const process = createProcess('fatal');
  const feed = new FactsFeed({ source, clock: systemClock });
  process.closing.defer(() => feed.close());
  await startAuthz({
    config,
    process,
    trustDomain: TrustDomain.parse(domains.own),
    agentSocket: path.join(folder, 'agent.sock'),
    facts: feed,
    policies: { current: () => set, fault: () => undefined, watch: () => () => {} },
  });
  return { socket, [Symbol.asyncDispose]: async () => await process.closing.disposeAsync() };
}
