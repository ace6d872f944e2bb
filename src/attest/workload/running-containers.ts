import { request } from 'node:http';
import { pause } from '../../ops/index.ts';
import { type Clock, TrustplaneError } from '../../spiffe/index.ts';
import { parseCgroups } from './cgroup.ts';
import { type ContainerRoots, findRoots } from './container-cgroup.ts';
import { type EngineContainer, parseEngineContainer } from './engine-container.ts';
import { readAnswer } from './http-answer.ts';
import { isGone } from './proc-files.ts';
import type { ProcReader } from './proc-reader.ts';
import { type QuestionMetrics, Questions } from './questions.ts';

const MAX_ANSWER_BYTES = 1 << 20;
const MAX_REMEMBERED = 4_096;
/** Of the answers together that are remembered. */
const MAX_REMEMBERED_BYTES = 33_554_432;
const MAX_QUESTIONS = 8;
/** A process may ask before its engine knows that the container runs. */
const START_STEP_MS = 100;
const MAX_STARTS = 20;

/** A container with a process, and where the kernel has it. */
export interface RunningContainer {
  readonly container: EngineContainer;
  readonly roots: ContainerRoots;
  /** Of the first process: the container runs as long as this one lives. */
  readonly startTime: string;
}

export interface RunningContainersOptions {
  readonly socketPath: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly proc: ProcReader;
  readonly metrics: QuestionMetrics;
}

/**
 * The containers that one engine runs. What a container is made of does not change, so an answer
 * holds for as long as the kernel says that the first process lives that it was about.
 */
export class RunningContainers {
  readonly #options: RunningContainersOptions;
  readonly #subject: string;
  readonly #questions: Questions<RunningContainer | undefined>;
  readonly #remembered = new Map<string, RunningContainer>();
  #rememberedBytes = 0;

  constructor(options: RunningContainersOptions) {
    this.#options = options;
    this.#subject = `the container engine at ${options.socketPath}`;
    this.#questions = new Questions({
      ...options,
      attestor: 'docker',
      subject: this.#subject,
      max: MAX_QUESTIONS,
    });
  }

  /**
   * Undefined when the engine does not run such a container. `uid`: of the process that it is about.
   * @throws TrustplaneError ERR_ATTEST_TIMEOUT, ERR_ATTEST_BUSY, ERR_ATTEST_UNREACHABLE, ERR_ATTEST_ANSWER
   */
  async find(id: string, uid: number, again: () => void): Promise<RunningContainer | undefined> {
    const known = this.#remembered.get(id);
    if (known !== undefined && this.#startTimeOf(known) === known.startTime) return known;
    this.#forget(id);
    return await this.#questions.ask(id, uid, (signal) => this.#look(id, signal), again);
  }

  async #look(id: string, signal: AbortSignal): Promise<RunningContainer | undefined> {
    for (let starts = 0; starts < MAX_STARTS; starts += 1) {
      const container = await this.#inspect(id, signal);
      if (container === undefined) return undefined;
      const found = await this.#place(id, container, signal);
      if (found !== undefined) return this.#remember(id, found);
      await pause(this.#options.clock, START_STEP_MS, signal);
    }
    return undefined;
  }

  /** Undefined while there is no first process. Asked twice: the pid was of that process when it was read. */
  async #place(
    id: string,
    container: EngineContainer,
    signal: AbortSignal,
  ): Promise<RunningContainer | undefined> {
    if (!container.isRunning || container.pid === 0) return undefined;
    const { proc } = this.#options;
    try {
      const startTime = proc.startTime(container.pid);
      const roots = findRoots(parseCgroups(proc.cgroup(container.pid)), id);
      const after = await this.#inspect(id, signal);
      const isSame = after?.pid === container.pid && after.startedAt === container.startedAt;
      return isSame && after.isRunning ? { container, roots, startTime } : undefined;
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  /** @throws TrustplaneError ERR_ATTEST_UNREACHABLE, ERR_ATTEST_ANSWER */
  async #inspect(id: string, signal: AbortSignal): Promise<EngineContainer | undefined> {
    const { socketPath } = this.#options;
    // Without a version: each engine answers in its newest, and what is read here is in all of them.
    const path = `/containers/${id}/json`;
    const asked = request({
      socketPath,
      path,
      signal,
      agent: false,
      headers: { host: 'localhost' },
    });
    const { status, body } = await readAnswer(asked, this.#subject, MAX_ANSWER_BYTES);
    if (status === 404) return undefined;
    if (status === 200) return parseEngineContainer(body, id);
    throw new TrustplaneError(
      'ERR_ATTEST_UNREACHABLE',
      `${this.#subject} answers with status ${status} when asked for a container`,
    );
  }

  #remember(id: string, found: RunningContainer): RunningContainer {
    this.#forget(id);
    this.#remembered.set(id, found);
    this.#rememberedBytes += found.container.answerBytes;
    for (const oldest of this.#remembered.keys()) {
      const isMany = this.#remembered.size > MAX_REMEMBERED;
      if (!isMany && this.#rememberedBytes <= MAX_REMEMBERED_BYTES) break;
      this.#forget(oldest);
    }
    return found;
  }

  #forget(id: string): void {
    const known = this.#remembered.get(id);
    if (known === undefined) return;
    this.#remembered.delete(id);
    this.#rememberedBytes -= known.container.answerBytes;
  }

  #startTimeOf({ container }: RunningContainer): string | undefined {
    try {
      return this.#options.proc.startTime(container.pid);
    } catch {
      return undefined;
    }
  }
}
