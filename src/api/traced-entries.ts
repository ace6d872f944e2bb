import type { Span, Tracing } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { EntryStore } from './revoking-entries.ts';

/** Entries whose changes begin traces; what follows is tied to them by the entry's ID. */
export function createTracedEntries(
  entries: EntryStore,
  tracing: Pick<Tracing, 'begin' | 'note'>,
): EntryStore {
  /** `idOf`: where only the result says which entry it is. Agents are told in a later turn than that is noted in. */
  async function trace<T>(
    span: Span | undefined,
    idOf: (result: T) => string | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const result = await work();
      const id = idOf(result);
      if (span !== undefined && id !== undefined) tracing.note(id, span.traceparent);
      span?.end();
      return result;
    } catch (error) {
      span?.end(messageOf(error));
      throw error;
    }
  }

  /** Noted before: what is revoked along with the entry holds the result up until agents have been told. */
  function traceKnown<T>(name: string, id: string, work: () => Promise<T>): Promise<T> {
    const span = tracing.begin(name, { entry_id: id });
    if (span !== undefined) tracing.note(id, span.traceparent);
    return trace(span, () => undefined, work);
  }

  return {
    get: (id) => entries.get(id),
    list: (filter, page) => entries.list(filter, page),
    count: (filter) => entries.count(filter),
    create: (draft) =>
      trace(
        tracing.begin('entry.create', { spiffe_id: draft.spiffeId }),
        ({ entry }) => entry.id,
        () => entries.create(draft),
      ),
    update: (id, edit, expected) =>
      traceKnown('entry.update', id, () => entries.update(id, edit, expected)),
    delete: (id, expected) => traceKnown('entry.delete', id, () => entries.delete(id, expected)),
  };
}
