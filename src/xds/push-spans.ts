import type { Span, Tracing } from '../ops/index.ts';
import { printable } from '../spiffe/index.ts';
import type { ResourceRef } from './resource.ts';
import type { XdsClient } from './resource-type.ts';

/** Pushes that are followed at one time; of more the oldest is given up. */
const MAX_OPEN = 64;
const MAX_NODE_CHARS = 100;

/** The spans of what a client was sent and has not answered, where that follows from a change that is traced. */
export class PushSpans {
  readonly #tracing: Pick<Tracing, 'follow'>;
  readonly #node: string;
  /** By name. */
  readonly #open = new Map<string, { readonly version: string; readonly span: Span }>();

  constructor(tracing: Pick<Tracing, 'follow'>, { node }: Pick<XdsClient, 'node'>) {
    this.#tracing = tracing;
    this.#node = printable(node?.id ?? '', MAX_NODE_CHARS);
  }

  begin(resources: readonly ResourceRef[]): void {
    for (const { name, version, subject } of resources) {
      if (subject === undefined) continue;
      const fields = { resource: name, version, node: this.#node };
      const span = this.#tracing.follow('xds.push', subject, fields);
      if (span === undefined) continue;
      this.#end(name, 'another version was sent');
      this.#open.set(name, { version, span });
      const [oldest] = this.#open.keys();
      if (this.#open.size > MAX_OPEN && oldest !== undefined) this.#end(oldest, 'given up');
    }
  }

  /** The client has answered. */
  settle(refs: readonly ResourceRef[], refusal: string | undefined): void {
    for (const { name, version } of refs) {
      if (this.#open.get(name)?.version === version) this.#end(name, refusal);
    }
  }

  close(): void {
    for (const name of this.#open.keys()) this.#end(name, 'the stream ended');
  }

  #end(name: string, fault?: string): void {
    this.#open.get(name)?.span.end(fault);
    this.#open.delete(name);
  }
}
