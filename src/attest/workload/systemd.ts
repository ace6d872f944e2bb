import type { Log } from '../../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import { boundedSelectors } from './bounded-selectors.ts';
import { parseCgroups } from './cgroup.ts';
import { isGone } from './proc-files.ts';
import { kernelProc, type ProcReader } from './proc-reader.ts';
import { type QuestionMetrics, Questions } from './questions.ts';
import { showUnit, type UnitFacts } from './systemctl.ts';
import { findUnit, type SystemdUnit } from './systemd-unit.ts';
import type { AttestableProcess, WorkloadAttestor } from './workload-attestor.ts';

const MAX_QUESTIONS = 4;
/** A unit's file changes where somebody reloads systemd. */
const FRESH_MS = 10_000;
const MAX_REMEMBERED = 1_024;

export interface SystemdAttestorOptions {
  /** The program that is asked for `fragment_path`; undefined: there is no such selector. */
  readonly systemctl: string | undefined;
  /** How long it is waited for. */
  readonly timeoutMs: number;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: QuestionMetrics;
  readonly proc?: ProcReader;
}

/**
 * The `systemd` selectors, as SPIRE names them: `id`, which is the kernel's word, and
 * `fragment_path`, which is systemd's and is left out where it does not say.
 */
export function createSystemdAttestor(options: SystemdAttestorOptions): WorkloadAttestor {
  const { proc = kernelProc, log, timeoutMs } = options;
  const files = new UnitFiles(options);
  return {
    name: 'systemd',
    timeoutMs: timeoutMs + 1_000,
    async attest(process, again) {
      const unit = unitOf(process, proc);
      if (unit === undefined) return [];
      const found = await files.find(unit, process.uid, again).catch((error: unknown) => {
        if (error instanceof TrustplaneError && error.code === 'ERR_ATTEST_CONTAINER') throw error;
        log.warn({ unit: unit.id, why: messageOf(error) }, 'the file of a unit is not known');
        return '';
      });
      if (unitOf(process, proc)?.cgroup !== unit.cgroup) throw moved(unit);
      const values = [`id:${unit.id}`, ...(found === '' ? [] : [`fragment_path:${found}`])];
      return boundedSelectors('systemd', values, unit.id);
    },
  };
}

/** The file of each unit, asked for once in a while. */
class UnitFiles {
  readonly #options: SystemdAttestorOptions;
  readonly #questions: Questions<string>;
  readonly #remembered = new Map<string, { readonly path: string; readonly at: number }>();

  constructor(options: SystemdAttestorOptions) {
    this.#options = options;
    const common = { ...options, attestor: 'systemd', subject: 'systemd' };
    this.#questions = new Questions({ ...common, max: MAX_QUESTIONS });
  }

  /** Empty for a unit without a file. @throws TrustplaneError ERR_ATTEST_* */
  async find(unit: SystemdUnit, uid: number, again: () => void): Promise<string> {
    const { systemctl, clock } = this.#options;
    if (systemctl === undefined) return '';
    const known = this.#remembered.get(unit.cgroup);
    const age = clock.now() - (known?.at ?? 0);
    if (known !== undefined && age >= 0 && age < FRESH_MS) return known.path;
    const ask = async (signal: AbortSignal): Promise<string> => {
      const facts = await showUnit(systemctl, unit.id, signal);
      return this.#remember(unit, requireSame(unit, facts).fragmentPath);
    };
    return await this.#questions.ask(unit.cgroup, uid, ask, again);
  }

  #remember({ cgroup }: SystemdUnit, path: string): string {
    const [oldest] = this.#remembered.keys();
    this.#remembered.delete(cgroup);
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined)
      this.#remembered.delete(oldest);
    this.#remembered.set(cgroup, { path, at: this.#options.clock.now() });
    return path;
  }
}

/** @throws TrustplaneError ERR_ATTEST_PROCESS_GONE, ERR_ATTEST_PROC, ERR_ATTEST_CONTAINER */
function unitOf({ pid }: AttestableProcess, proc: ProcReader): SystemdUnit | undefined {
  try {
    return findUnit(parseCgroups(proc.cgroup(pid)));
  } catch (error) {
    if (!isGone(error)) throw error;
    throw new TrustplaneError('ERR_ATTEST_PROCESS_GONE', `process ${pid} has exited`);
  }
}

/** @throws TrustplaneError ERR_ATTEST_CONTAINER where systemd has another cgroup for the unit than the kernel */
function requireSame({ id, cgroup }: SystemdUnit, facts: UnitFacts): UnitFacts {
  if (facts.id === id && facts.controlGroup === cgroup) return facts;
  throw new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `the process is in ${cgroup}, and systemd has ${facts.id} in ${facts.controlGroup || 'no cgroup'}`,
  );
}

function moved({ id }: SystemdUnit): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `the process left ${id} while it was attested`,
  );
}
