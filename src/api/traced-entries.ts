import type { Span, Tracing } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { EntryStore } from './revoking-entries.ts';

/** Entries whose changes begin traces; what follows is tied to them by the entry's ID. */
export function createTracedEntries(
  entries: EntryStore,
  tracing: Pick<Tracing, 'begin' | 'note'>,
): EntryStore {
  /** Agents are told in a later turn than this is noted in. */
  async function trace<T>(
    span: Span | undefined,
    idOf: (result: T) => string,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      const result = await work();
      if (span !== undefined) tracing.note(idOf(result), span.traceparent);
      span?.end();
      return result;
    } catch (error) {
      span?.end(messageOf(error));
      throw error;
    }
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
      trace(
        tracing.begin('entry.update', { entry_id: id }),
        () => id,
        () => entries.update(id, edit, expected),
      ),
    delete: (id, expected) =>
      trace(
        tracing.begin('entry.delete', { entry_id: id }),
        () => id,
        () => entries.delete(id, expected),
      ),
  };
}
