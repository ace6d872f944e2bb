import { once } from 'node:events';
import path from 'node:path';
import { buildAuthz } from '../src/app/authz-config.ts';
import { type AuthzService, createAuthzService } from '../src/app/authz-service.ts';
import { CheckMethods } from '../src/app/check-methods.ts';
import { openPlan, type Plan, packPlan, policySchema } from '../src/authz/index.ts';
import { FactsFeed, FactsView } from '../src/facts/index.ts';
import {
  createMetrics,
  keepYoungGenerationSmall,
  silentLog,
  systemClock,
} from '../src/ops/index.ts';
import { emptyBundle, TrustDomain } from '../src/spiffe/index.ts';
import { serveUnix } from '../src/wire/index.ts';
import { type CheckGround, policyDocument } from './check-ground.ts';
import { serveWithLoader } from './check-with-loader.ts';

/** One way of answering checks, in a process of its own: `check-server.ts SOCKET KIND`, the ground as a message. */
const [socket = '', kind = ''] = process.argv.slice(2);
const common = { path: socket, mode: 0o600, log: silentLog, metrics: createMetrics() };

keepYoungGenerationSmall();
process.on('disconnect', () => process.exit());
const [ground]: CheckGround[] = await once(process, 'message');
if (ground === undefined) throw new Error('there is no ground');
if (kind === 'constant') {
  // As long as what is answered otherwise.
  const service = await openService(ground);
  const answer = service.check(Buffer.from(ground.requests[1] ?? '', 'base64'));
  await service.close();
  await serveUnix({ ...common, bytes: new CheckMethods('quick', () => answer) });
} else if (kind === 'loader') {
  await serveWithLoader(common, planOf(ground), await openFacts(ground));
} else {
  const service = await openService(ground);
  const transport = kind === 'grpc-js' ? kind : 'quick';
  const bytes = new CheckMethods(transport, (request) => service.check(request));
  await serveUnix({ ...common, bytes });
}
process.send?.('ready');

async function openService(on: CheckGround): Promise<AuthzService> {
  const log = path.join(path.dirname(socket), `${kind}-${on.rules}.jsonl`);
  const config = buildAuthz({ socket, policies: '/nowhere', decisionLog: { file: log } });
  if (config === undefined) throw new Error('there is no configuration');
  const plan = planOf(on);
  return createAuthzService({
    config,
    trustDomain: 'bench.test',
    facts: await openFacts(on),
    plan: () => plan,
    log: silentLog,
    metrics: common.metrics,
    clock: systemClock,
  });
}

function planOf({ rules }: CheckGround): Plan {
  return openPlan(packPlan([policySchema.parse(policyDocument(rules))], 'bench'));
}

async function openFacts({ authority }: CheckGround): Promise<FactsView> {
  const trustDomain = TrustDomain.parse('bench.test');
  const certificate = Buffer.from(authority, 'base64');
  const own = {
    ...emptyBundle(trustDomain),
    x509Authorities: [{ certificate, tainted: false }],
    sequenceNumber: 1n,
  };
  const facts = { trust: { own, federated: new Map(), terms: new Map() }, revocations: [] };
  const source = { current: () => facts, watch: () => () => {} };
  const view = new FactsView(trustDomain);
  const feed = new FactsFeed({ source, clock: systemClock });
  await new Promise<void>((resolve) => {
    feed.open((message, taken) => {
      if (view.apply(message)) resolve();
      taken();
    });
  });
  feed.close();
  return view;
}
