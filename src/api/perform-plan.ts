import {
  type EntryStep,
  type Plan,
  type RelationshipStep,
  type Step,
  stepsOf,
} from '../apply/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import { endRelationship, type ForeignBundles, type Relationships } from '../federation/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

/** Writes that wait for the store at the same time: it makes them durable together. */
const CONCURRENCY = 256;

/** Where a plan is carried out. */
export interface PlanTargets {
  readonly entries: Pick<EntryRegistry, 'create' | 'update' | 'delete'>;
  /** What stands now. */
  readonly standing: EntryRegistry['standing'];
  readonly relationships: Pick<Relationships, 'get' | 'replace' | 'delete'>;
  readonly foreignBundles: Pick<ForeignBundles, 'delete'>;
}

/** What of a plan was done. */
export interface PlanOutcome {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  /** Places of the steps that were not done, in the order of `stepsOf`. */
  readonly left: readonly number[];
  /** Why not. */
  readonly failure: TrustplaneError | undefined;
}

/**
 * Carries out a plan for a set, phase by phase: removals begin when everything else is done. With the
 * first step that fails nothing more is begun; what is done stays, and another apply goes on from there.
 */
export async function performPlan(
  plan: Plan,
  set: string,
  targets: PlanTargets,
): Promise<PlanOutcome> {
  const steps = stepsOf(plan);
  const run = new PlanRun(set, targets);
  let from = 0;
  for (const phase of [plan.additions, plan.changes, plan.removals]) {
    await run.perform(phase, from);
    from += phase.length;
  }
  const { done, failure } = run;
  const countOf = (first: number, count: number): number => {
    let sum = 0;
    for (let index = first; index < first + count; index++) if (done.has(index)) sum++;
    return sum;
  };
  const [added, changed] = [plan.additions.length, plan.changes.length];
  return {
    added: countOf(0, added),
    changed: countOf(added, changed),
    removed: countOf(added + changed, plan.removals.length),
    left: [...steps.keys()].filter((index) => !done.has(index)),
    failure,
  };
}

class PlanRun {
  readonly done = new Set<number>();
  failure: TrustplaneError | undefined;
  readonly #set: string;
  readonly #targets: PlanTargets;

  constructor(set: string, targets: PlanTargets) {
    this.#set = set;
    this.#targets = targets;
  }

  async perform(phase: readonly Step[], from: number): Promise<void> {
    let next = 0;
    const work = async (): Promise<void> => {
      while (this.failure === undefined && next < phase.length) {
        const index = next++;
        const step = phase[index];
        if (step !== undefined) await this.#perform(step, from + index);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, phase.length) }, work));
  }

  async #perform(step: Step, index: number): Promise<void> {
    try {
      if (step.subject === 'entry') await this.#performEntry(step);
      else await this.#performRelationship(step);
      this.done.add(index);
    } catch (error) {
      this.failure ??= failureOf(error);
    }
  }

  async #performEntry({ before, after }: EntryStep): Promise<void> {
    const { entries, standing } = this.#targets;
    if (before === undefined) {
      if (after === undefined) return;
      const { isNew, entry } = await entries.create({ ...after.draft, managedBy: this.#set });
      if (!isNew) throw overtaken(`entry ${entry.id} was made`);
      return;
    }
    const { entry, revision } = before;
    // Before SVIDs are revoked for it.
    if (standing(entry.id)?.revision !== revision) throw overtaken(`entry ${entry.id} was changed`);
    if (after === undefined) {
      await entries.delete(entry.id, revision);
      return;
    }
    const { id: _, ...edit } = after.draft;
    await entries.update(entry.id, { ...edit, managedBy: this.#set }, revision);
  }

  async #performRelationship({ before, after }: RelationshipStep): Promise<void> {
    const { relationships } = this.#targets;
    if (after !== undefined) await relationships.replace(after, before);
    else if (before !== undefined) await endRelationship(this.#targets, before.trustDomain);
  }
}

function overtaken(what: string): TrustplaneError {
  return new TrustplaneError('ERR_APPLY_CHANGED', `${what} by others meanwhile`);
}

function failureOf(error: unknown): TrustplaneError {
  if (!(error instanceof TrustplaneError))
    return new TrustplaneError('ERR_APPLY_INCOMPLETE', messageOf(error), { cause: error });
  const isOvertaken =
    error.code === 'ERR_ENTRY_CHANGED' ||
    error.code === 'ERR_ENTRY_NOT_FOUND' ||
    error.code === 'ERR_ENTRY_ID_TAKEN' ||
    error.code === 'ERR_ENTRY_EXISTS' ||
    error.code === 'ERR_RELATIONSHIP_CHANGED' ||
    error.code === 'ERR_RELATIONSHIP_NOT_FOUND';
  return isOvertaken ? new TrustplaneError('ERR_APPLY_CHANGED', error.message) : error;
}
