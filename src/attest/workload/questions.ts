import type { Metrics } from '../../ops/index.ts';
import { type Clock, TrustplaneError } from '../../spiffe/index.ts';
import { FairTurns } from './fair-turns.ts';

/** How long an answer is waited for that nobody waits for any more. */
const ABANDON_MS = 30_000;
/** What failed is asked again this much later, by those it failed. */
const RETRY_MS = 10_000;
/** How long who did not answer in time is waited for until they answer something: enough for one who is well again. */
const SILENT_WAIT_MS = 250;
const MAX_RETRIES = 4_096;
const MAX_WAITING_PER_USER = 256;

export interface QuestionsOptions {
  /** Label of the metrics. */
  readonly attestor: string;
  /** Who is asked, for people. */
  readonly subject: string;
  /** How long one who asks waits. */
  readonly timeoutMs: number;
  /** How many questions are under way at once. */
  readonly max: number;
  readonly clock: Clock;
  readonly metrics: QuestionMetrics;
}

export interface QuestionMetrics {
  asked(attestor: string, result: 'ok' | 'failed' | 'late'): void;
}

export function createQuestionMetrics(metrics: Metrics): QuestionMetrics {
  const questions = metrics.counter(
    'trustplane_attest_questions_total',
    'Questions of workload attestors to container engines, kubelets and systemd: ok, failed, or late (answered when nobody waited any more).',
    ['attestor', 'result'],
  );
  return { asked: (attestor, result) => questions.inc({ attestor, result }) };
}

/**
 * Asks somebody who may be slow, or never answer. A question that several ask at once is asked once;
 * few are under way at once, users take turns. Who asks waits `timeoutMs`; once that has passed for
 * one, others wait 250 ms until there is an answer to something again: whoever hangs makes one process
 * wait, not all. What comes late calls `again`, and what fails calls it later.
 */
export class Questions<T> {
  readonly #options: QuestionsOptions;
  readonly #turns: FairTurns;
  readonly #underWay = new Map<string, Promise<T>>();
  readonly #retries = new Set<() => void>();
  #isSilent = false;

  constructor(options: QuestionsOptions) {
    this.#options = options;
    const { max } = options;
    this.#turns = new FairTurns({ max, maxWaitingPerUser: MAX_WAITING_PER_USER });
  }

  /**
   * The answer. Questions of one key are the same; `uid` is of the process that it is asked for.
   * @throws TrustplaneError ERR_ATTEST_TIMEOUT, ERR_ATTEST_BUSY; what `question` throws
   */
  async ask(
    key: string,
    uid: number,
    question: (signal: AbortSignal) => Promise<T>,
    again: () => void,
  ): Promise<T> {
    const answer = this.#underWay.get(key) ?? this.#begin(key, uid, question);
    const { attestor, clock, timeoutMs, metrics } = this.#options;
    const expired = Promise.withResolvers<never>();
    let isLate = false;
    const timer = clock.setTimer(this.#isSilent ? SILENT_WAIT_MS : timeoutMs, () => {
      isLate = true;
      expired.reject(this.#tooLate());
      this.#isSilent = true;
      const late = (): void => {
        metrics.asked(attestor, 'late');
        again();
      };
      answer.then(late, () => this.retryLater(again));
    });
    try {
      return await Promise.race([answer, expired.promise]);
    } catch (error) {
      if (!isLate) this.retryLater(again);
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Calls `again` in 10 s, or a little earlier. */
  retryLater(again: () => void): void {
    if (this.#retries.size >= MAX_RETRIES) return;
    if (this.#retries.size === 0) this.#options.clock.setTimer(RETRY_MS, () => this.#retry());
    this.#retries.add(again);
  }

  #retry(): void {
    const due = [...this.#retries];
    this.#retries.clear();
    for (const again of due) again();
  }

  #begin(key: string, uid: number, question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const answer = this.#turns
      .run(uid, async () => ({ value: await this.#bounded(question) }))
      .then((told) => {
        if (told === undefined) throw this.#tooMany(uid);
        return told.value;
      });
    this.#underWay.set(key, answer);
    const end = (): boolean => this.#underWay.delete(key);
    answer.then(end, end);
    return answer;
  }

  /** @throws TrustplaneError ERR_ATTEST_TIMEOUT, when nothing came for so long that it is given up */
  async #bounded(question: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { attestor, clock, metrics } = this.#options;
    const abandoned = new AbortController();
    const timer = clock.setTimer(ABANDON_MS, () => abandoned.abort(this.#tooLate()));
    try {
      const answer = await question(abandoned.signal);
      this.#isSilent = false;
      metrics.asked(attestor, 'ok');
      return answer;
    } catch (error) {
      metrics.asked(attestor, 'failed');
      // Whoever refuses is not silent.
      if (!abandoned.signal.aborted) this.#isSilent = false;
      throw abandoned.signal.aborted ? abandoned.signal.reason : error;
    } finally {
      timer.cancel();
    }
  }

  #tooLate(): TrustplaneError {
    const { subject, timeoutMs } = this.#options;
    return new TrustplaneError(
      'ERR_ATTEST_TIMEOUT',
      `${subject} did not answer within ${timeoutMs} ms; what it says is taken up when it does`,
    );
  }

  #tooMany(uid: number): TrustplaneError {
    return new TrustplaneError(
      'ERR_ATTEST_BUSY',
      `${MAX_WAITING_PER_USER} processes of user ${uid} wait for ${this.#options.subject} already`,
    );
  }
}
