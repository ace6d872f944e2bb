import type { Span, Tracing } from '../ops/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import { itemIdOf, kindOf, MAX_CAUSES, type SyncUpdate, type WireCause } from '../sync/index.ts';

/** The spans of the update that an agent was sent and has not confirmed, one for each change that is traced. */
export class UpdateSpans {
  readonly #tracing: Pick<Tracing, 'follow'> | undefined;
  readonly #agentId: SpiffeId;
  #open: readonly Span[] = [];

  constructor(tracing: Pick<Tracing, 'follow'> | undefined, agentId: SpiffeId) {
    this.#tracing = tracing;
    this.#agentId = agentId;
  }

  /** What the agent is told, so that it goes on from there. */
  begin({ items, removed, position }: SyncUpdate): readonly WireCause[] {
    if (this.#tracing === undefined) return [];
    this.end('another update was sent');
    const common = { agent_id: this.#agentId.toString(), revision: position.revision };
    const causes: WireCause[] = [];
    const spans: Span[] = [];
    for (const key of [...items.map((item) => item.key), ...removed]) {
      if (spans.length === MAX_CAUSES) break;
      if (kindOf(key) !== 'e') continue;
      const entry_id = itemIdOf(key);
      const span = this.#tracing.follow('sync.update', entry_id, { ...common, entry_id });
      if (span === undefined) continue;
      spans.push(span);
      causes.push({ entry_id, traceparent: span.traceparent });
    }
    this.#open = spans;
    return causes;
  }

  /** `fault`: why it did not take effect. */
  end(fault?: string): void {
    for (const span of this.#open) span.end(fault);
    this.#open = [];
  }
}
