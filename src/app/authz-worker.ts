/** The thread that answers checks, so that nothing else in the process delays them. */
import { flushCompileCache } from 'node:module';
import { setImmediate } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { openPlan, type Plan } from '../authz/deciding.ts';
import { FactsView } from '../facts/index.ts';
import { createMetrics, type Log, type LogLevel, limitLog, systemClock } from '../ops/index.ts';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { AuthzListeners } from './authz-listeners.ts';
import type { AuthzThreadData, FromAuthzThread, ToAuthzThread } from './authz-messages.ts';
import { type AuthzService, createAuthzService } from './authz-service.ts';
import { CheckMethods } from './check-methods.ts';
import type { PolicySet } from './policy-source.ts';
import { createThreadLog } from './thread-log.ts';
import { warmChecks } from './warm-checks.ts';

/** From the message that begins it to the one that closes it. */
class CheckThread {
  readonly #data: AuthzThreadData;
  readonly #metrics = createMetrics();
  readonly #log: Log;
  readonly #facts: FactsView;
  readonly #service: AuthzService;
  readonly #bytes: CheckMethods;
  readonly #opening: Promise<AuthzListeners | undefined>;
  #logLevel: LogLevel;
  #plan: Plan | undefined;
  #warming: Promise<void> = Promise.resolve();
  #isWarm = false;
  #isClosing = false;
  #hasFailed = false;

  constructor(data: AuthzThreadData) {
    const { config, trustDomain, decisionPort } = data;
    this.#data = data;
    this.#logLevel = data.logLevel;
    const log = createThreadLog(
      (line) => send({ type: 'log', ...line }),
      () => this.#logLevel,
    );
    this.#log = limitLog(log, clock);
    this.#facts = new FactsView(TrustDomain.parse(trustDomain));
    const service = createAuthzService({
      config,
      trustDomain,
      facts: this.#facts,
      plan: () => (this.#hasFailed ? undefined : this.#plan),
      decisionPort,
      log: this.#log,
      metrics: this.#metrics,
      clock,
    });
    this.#service = service;
    this.#bytes = new CheckMethods(config.transport, (request) => service.check(request));
    this.#opening = this.#open();
  }

  take(message: ToAuthzThread): void {
    switch (message.type) {
      case 'facts':
        return this.#takeFacts(message.update);
      case 'policies':
        return this.#takePolicies(message.set);
      case 'assertion-key':
        return this.#service.useAssertionKey(message.key);
      case 'ping':
        this.#logLevel = message.logLevel;
        return send({ type: 'pong' });
      case 'metrics':
        return void this.#metrics.figures().then((figures) => send({ type: 'metrics', figures }));
      case 'close':
        return void this.#close(message.graceMs);
      case 'begin':
    }
  }

  /** Whatever was half done may be wrong: nothing is allowed any more, and another thread takes over. */
  fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const stack = error instanceof Error ? error.stack : undefined;
    this.#log.error({ error: messageOf(error), stack }, 'the thread that answers checks fails');
    send({ type: 'failing', message: messageOf(error) });
    void this.#close(0);
  }

  async #open(): Promise<AuthzListeners | undefined> {
    try {
      // What was sent already is taken first, so that the first request is decided by it.
      await setImmediate();
      await setImmediate();
      const { config, agentSocket } = this.#data;
      const listeners = await AuthzListeners.open({
        config,
        agentSocket,
        bytes: this.#bytes,
        facts: this.#facts,
        log: this.#log,
        metrics: this.#metrics,
        clock,
        onFault: (fault) => send({ type: 'fault', fault }),
      });
      send({ type: 'listening' });
      this.#warming = this.#warm();
      return listeners;
    } catch (error) {
      const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
      send({ type: 'failed', code, message: messageOf(error) });
      return undefined;
    }
  }

  async #warm(): Promise<void> {
    await warmChecks(this.#data.config.transport).catch((error: unknown) => {
      this.#log.warn({ error: messageOf(error) }, 'the answering of checks was not warmed up');
    });
    if (this.#isClosing) return;
    // A thread's compiled code is else kept at its end alone, and a crash has none.
    flushCompileCache();
    this.#isWarm = true;
    this.#showServing();
    send({ type: 'ready' });
  }

  #takeFacts(update: Uint8Array): void {
    try {
      if (this.#facts.apply(update)) this.#showServing();
      send({ type: 'facts-taken' });
    } catch (error) {
      send({ type: 'facts-refused', message: messageOf(error) });
    }
  }

  /** Whoever asks another while this one denies everything is better off. */
  #showServing(): void {
    this.#bytes.setServing(this.#isWarm && this.#facts.isComplete && !this.#isClosing);
  }

  /** What cannot be opened leaves in force what was. */
  #takePolicies(set: PolicySet): void {
    try {
      this.#plan = openPlan(set.image);
      send({ type: 'in-force', digest: set.digest });
    } catch (error) {
      this.#log.error({ digest: set.digest, error: messageOf(error) }, 'policies cannot be opened');
    }
  }

  async #close(graceMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#showServing();
    const listeners = await this.#opening;
    await listeners?.close(graceMs);
    // Node aborts when a thread ends while its HTTP/2 has calls.
    await this.#warming;
    await this.#service.close();
    process.exit(0);
  }
}

const clock = systemClock;
let thread: CheckThread | undefined;

/** Its code may be loaded before it is known what it is to do. */
parentPort?.on('message', (message: ToAuthzThread) => {
  if (message.type === 'begin') thread = new CheckThread(message.data);
  else thread?.take(message);
});

process.on('uncaughtException', (error) => {
  if (thread === undefined) process.exit(1);
  thread.fail(error);
});

function send(message: FromAuthzThread): void {
  parentPort?.postMessage(message, []);
}
