import type { Log } from '../ops/index.ts';
import { printable } from '../spiffe/index.ts';

const MAX_REMEMBERED = 1024;
const MAX_NAME_CHARS = 256;

/** Logs which names clients may not have: once per client and name, however often they ask. */
export class RefusalLog {
  readonly #log: Log;
  readonly #logged = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  note(client: { readonly pid: number; readonly node: string }, name: string, why: string): void {
    const resourceName = printable(name, MAX_NAME_CHARS);
    const key = `${client.node} ${resourceName}`;
    if (this.#logged.has(key)) return;
    if (this.#logged.size >= MAX_REMEMBERED) this.#logged.clear();
    this.#logged.add(key);
    const fields = { ...client, resourceName, reason: why };
    this.#log.warn(fields, 'a client asks for an extension configuration that is not for it');
  }
}
