import type { MessagePort, Worker } from 'node:worker_threads';
import type { AssertionKey, AssertionKeys } from '../check/index.ts';
import type { FactsFeed } from '../facts/index.ts';
import type { Figure } from '../ops/index.ts';
import { messageOf, type Timer, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import type { FromAuthzThread, ToAuthzThread } from './authz-messages.ts';
import type { PolicySource } from './policy-source.ts';
import type { Process } from './process.ts';
import { authzThread, startThread } from './start-thread.ts';

const PING_EVERY_MS = 1_000;
/** A thread that has answered none of so many does nothing any more. */
const MAX_PINGS = 10;
/** Beyond what it was given to end its connections; later it is left to the end of the process. */
const END_MS = 5_000;
/** For a scrape; later the figures of the last one are shown. */
const FIGURES_MS = 1_000;

export interface AuthzThreadOptions {
  readonly config: AuthzConfig;
  readonly process: Pick<Process, 'log' | 'logLevel' | 'clock'>;
  readonly trustDomain: TrustDomain;
  /** Of the Workload API that gives the SVID to present over TLS. */
  readonly agentSocket: string;
  readonly facts: Pick<FactsFeed, 'open'>;
  readonly policies: Pick<PolicySource, 'current' | 'watch'>;
  readonly assertionKeys?: Pick<AssertionKeys, 'current' | 'watch'> | undefined;
  /** Makes ports to what publishes decisions. */
  readonly openDecisions?: (() => MessagePort) | undefined;
  /** Told when what follows has changed. */
  readonly onChange: () => void;
  /** Told once when it has ended, unless it was closed. */
  readonly onEnd: (error: Error) => void;
  /** In place of that when it does not end either. */
  readonly onStuck: (error: Error) => void;
}

/** One life of the thread that answers checks: from its start to its end. */
export class AuthzThread {
  readonly #options: AuthzThreadOptions;
  readonly #worker: Worker;
  readonly #listening = Promise.withResolvers<void>();
  readonly #exited: Promise<void>;
  #feed: { close(): void } | undefined;
  /** The last of the facts were, which happens once if it does at all. */
  #wasRefused = false;
  #factsTaken: (() => void) | undefined;
  #unwatch: (() => void) | undefined;
  #unwatchKeys: (() => void) | undefined;
  #unanswered = 0;
  #pinging: Timer | undefined;
  #isClosing = false;
  #hasEnded = false;
  #isStuck = false;
  #figures: readonly Figure[] = [];
  #figuresCome: (() => void) | undefined;
  /** Of the policies that decide. */
  inForce: string | undefined;
  isWarm = false;
  /** Why TLS is not served; undefined: it is, or is not wanted. */
  fault: string | undefined;

  constructor(options: AuthzThreadOptions) {
    this.#options = options;
    this.#worker = startThread(authzThread);
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.on('message', (message: FromAuthzThread) => this.#take(message));
    this.#worker.once('error', (error) => this.#end(messageOf(error)));
    this.#worker.once('exit', (code) => this.#end(`exit code ${code}`));
    this.#listening.promise.catch(() => {});
    this.#begin();
    this.#openFacts();
    this.#followKeys();
    this.#followPolicies();
    this.#ping();
  }

  /** Resolves when it answers checks. @throws TrustplaneError of what could not be opened */
  async listening(): Promise<void> {
    await this.#listening.promise;
  }

  /** What it has counted; soon, if need be as it was before. Never rejects. */
  async figures(): Promise<readonly Figure[]> {
    if (this.#hasEnded || this.#isClosing) return this.#figures;
    await new Promise<void>((resolve) => {
      const timer = this.#options.process.clock.setTimer(FIGURES_MS, resolve);
      const before = this.#figuresCome;
      this.#figuresCome = () => {
        timer.cancel();
        before?.();
        resolve();
      };
      if (before === undefined) this.#send({ type: 'metrics' });
    });
    return this.#figures;
  }

  async close(graceMs: number): Promise<void> {
    if (!this.#isClosing && !this.#hasEnded) {
      this.#isClosing = true;
      this.#send({ type: 'close', graceMs });
    }
    if (!this.#isStuck) await this.#exit(graceMs + END_MS);
    this.#release();
  }

  /**
   * Whether it has ended by then. It is not made to: Node aborts the whole process when a thread is
   * terminated while its HTTP/2 has calls.
   */
  async #exit(withinMs: number): Promise<boolean> {
    const { clock } = this.#options.process;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = clock.setTimer(withinMs, () => resolve(false));
    void this.#exited.then(() => resolve(true));
    const hasEnded = await promise;
    timer.cancel();
    if (!hasEnded) this.#worker.unref();
    return hasEnded;
  }

  #take(message: FromAuthzThread): void {
    switch (message.type) {
      case 'listening':
        return this.#listening.resolve();
      case 'failed':
        this.#listening.reject(new TrustplaneError(message.code, message.message));
        return void this.#worker.terminate();
      case 'failing':
        return this.#end(message.message);
      case 'facts-taken':
        this.#wasRefused = false;
        return this.#factsTaken?.();
      case 'facts-refused':
        return this.#refused(message.message);
      case 'pong':
        this.#unanswered = 0;
        return;
      case 'metrics':
        this.#figures = message.figures;
        this.#figuresCome?.();
        this.#figuresCome = undefined;
        return;
      case 'log':
        return this.#options.process.log[message.level](message.fields, message.message);
      default:
        return this.#note(message);
    }
  }

  #note(message: Extract<FromAuthzThread, { type: 'ready' | 'in-force' | 'fault' }>): void {
    if (message.type === 'ready') this.isWarm = true;
    else if (message.type === 'fault') this.fault = message.fault;
    else this.inForce = message.digest;
    this.#options.onChange();
  }

  #begin(): void {
    const { config, process, trustDomain, agentSocket, openDecisions } = this.#options;
    const decisionPort = openDecisions?.();
    const data = {
      config: withoutNats(config),
      trustDomain: trustDomain.name,
      agentSocket,
      logLevel: process.logLevel.level,
      decisionPort,
    };
    this.#send({ type: 'begin', data }, decisionPort);
  }

  /** From a snapshot on; the next message goes when the one before was taken. */
  #openFacts(): void {
    this.#feed?.close();
    this.#feed = this.#options.facts.open((update, taken) => {
      this.#factsTaken = taken;
      this.#send({ type: 'facts', update });
    });
  }

  #refused(message: string): void {
    this.#options.process.log.error({ error: message }, 'facts were refused');
    if (this.#wasRefused) return this.#end(message);
    this.#wasRefused = true;
    this.#openFacts();
  }

  #followPolicies(): void {
    const { policies } = this.#options;
    let sent: string | undefined;
    const follow = (): void => {
      const set = policies.current();
      if (set === undefined || set.digest === sent) return;
      sent = set.digest;
      this.#send({ type: 'policies', set });
    };
    this.#unwatch = policies.watch(follow);
    follow();
  }

  #followKeys(): void {
    const { assertionKeys } = this.#options;
    if (assertionKeys === undefined) return;
    const send = ({ keyId, privateKey }: AssertionKey): void =>
      this.#send({ type: 'assertion-key', key: { keyId, privateKey } });
    this.#unwatchKeys = assertionKeys.watch(send);
    send(assertionKeys.current());
  }

  #ping(): void {
    const { clock, logLevel } = this.#options.process;
    this.#pinging = clock.setTimer(PING_EVERY_MS, () => {
      if (this.#isClosing || this.#hasEnded) return;
      if (this.#unanswered++ >= MAX_PINGS) return this.#end('it answers nothing');
      this.#send({ type: 'ping', logLevel: logLevel.level });
      this.#ping();
    });
  }

  #send(message: ToAuthzThread, port?: MessagePort): void {
    this.#worker.postMessage(message, port === undefined ? [] : [port]);
  }

  #end(why: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#release();
    this.inForce = undefined;
    this.isWarm = false;
    const error = new TrustplaneError('ERR_AUTHZ_THREAD', `the thread of authz ended: ${why}`);
    this.#listening.reject(error);
    if (!this.#isClosing) void this.#leave(error);
  }

  async #leave(error: Error): Promise<void> {
    const { onChange, onEnd, onStuck } = this.#options;
    onChange();
    this.#send({ type: 'close', graceMs: 0 });
    this.#isStuck = !(await this.#exit(END_MS));
    if (this.#isStuck) onStuck(error);
    else onEnd(error);
  }

  #release(): void {
    this.#pinging?.cancel();
    this.#figuresCome?.();
    this.#feed?.close();
    this.#unwatch?.();
    this.#unwatchKeys?.();
  }
}

/** The connection is the main thread's. */
function withoutNats(config: AuthzConfig): AuthzConfig {
  const { decisionLog } = config;
  return { ...config, decisionLog: decisionLog && { ...decisionLog, nats: undefined } };
}
