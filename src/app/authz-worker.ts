/** The thread that answers checks, so that nothing else in the process delays them. */
import { flushCompileCache } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { openPlan, type Plan } from '../authz/index.ts';
import { FactsView } from '../facts/index.ts';
import { createMetrics, limitLog, systemClock } from '../ops/index.ts';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { AuthzListeners } from './authz-listeners.ts';
import type { AuthzThreadData, FromAuthzThread, ToAuthzThread } from './authz-messages.ts';
import { createAuthzService } from './authz-service.ts';
import { CheckMethods } from './check-methods.ts';
import type { PolicySet } from './policy-source.ts';
import { createThreadLog } from './thread-log.ts';
import { warmChecks } from './warm-checks.ts';

const { config, trustDomain, agentSocket, decisionPort, ...started }: AuthzThreadData = workerData;
let logLevel = started.logLevel;
const clock = systemClock;
const metrics = createMetrics();
const log = limitLog(
  createThreadLog(
    (line) => send({ type: 'log', ...line }),
    () => logLevel,
  ),
  clock,
);
const facts = new FactsView(TrustDomain.parse(trustDomain));
let plan: Plan | undefined;
const service = createAuthzService({
  config,
  trustDomain,
  facts,
  plan: () => plan,
  decisionPort,
  log,
  metrics,
  clock,
});
const bytes = new CheckMethods(config.transport, (request) => service.check(request));
let warming: Promise<void> = Promise.resolve();
let isWarm = false;
let isClosing = false;
const opening = open();

parentPort?.on('message', (message: ToAuthzThread) => {
  switch (message.type) {
    case 'facts':
      return takeFacts(message.update);
    case 'policies':
      return takePolicies(message.set);
    case 'assertion-key':
      return service.useAssertionKey(message.key);
    case 'ping':
      logLevel = message.logLevel;
      return send({ type: 'pong' });
    case 'metrics':
      return void metrics.figures().then((figures) => send({ type: 'metrics', figures }));
    case 'close':
      return void close(message.graceMs);
  }
});

async function open(): Promise<AuthzListeners | undefined> {
  try {
    // What was sent already is taken first, so that the first request is decided by it.
    await setImmediate();
    await setImmediate();
    const listeners = await AuthzListeners.open({
      config,
      agentSocket,
      bytes,
      facts,
      log,
      metrics,
      clock,
      onFault: (fault) => send({ type: 'fault', fault }),
    });
    send({ type: 'listening' });
    warming = warm();
    return listeners;
  } catch (error) {
    const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
    send({ type: 'failed', code, message: messageOf(error) });
    return undefined;
  }
}

async function warm(): Promise<void> {
  await warmChecks(config.transport).catch((error: unknown) => {
    log.warn({ error: messageOf(error) }, 'the answering of checks was not warmed up');
  });
  if (isClosing) return;
  // A thread's compiled code is else kept at its end alone, and a crash has none.
  flushCompileCache();
  isWarm = true;
  showServing();
  send({ type: 'ready' });
}

function takeFacts(update: Uint8Array): void {
  try {
    if (facts.apply(update)) showServing();
    send({ type: 'facts-taken' });
  } catch (error) {
    send({ type: 'facts-refused', message: messageOf(error) });
  }
}

/** Whoever asks another while this one denies everything is better off. */
function showServing(): void {
  bytes.setServing(isWarm && facts.isComplete && !isClosing);
}

/** What cannot be opened leaves in force what was. */
function takePolicies(set: PolicySet): void {
  try {
    plan = openPlan(set.image);
    send({ type: 'in-force', digest: set.digest });
  } catch (error) {
    log.error({ digest: set.digest, error: messageOf(error) }, 'policies cannot be opened');
  }
}

async function close(graceMs: number): Promise<void> {
  isClosing = true;
  showServing();
  const listeners = await opening;
  await listeners?.close(graceMs);
  // Node aborts when a thread ends while its HTTP/2 has calls.
  await warming;
  await service.close();
  process.exit(0);
}

function send(message: FromAuthzThread): void {
  parentPort?.postMessage(message, []);
}
