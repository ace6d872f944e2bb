import type { Log } from '../ops/index.ts';
import { printable } from '../spiffe/index.ts';
import type { ResourceRef } from './resource.ts';

const MAX_REMEMBERED = 1024;
const MAX_TEXT_CHARS = 500;

/** Logs why clients refuse resources: once per name and version, however many streams refuse it. */
export interface NackLog {
  note(refs: readonly ResourceRef[], text: string, client: { pid: number; node: string }): void;
}

/** `one`: what is refused, as in `a secret`. */
export function createNackLog(log: Log, one: string): NackLog {
  const logged = new Set<string>();
  return {
    note(refs, text, client) {
      for (const { name, kind, version } of refs) {
        const key = `${version} ${name}`;
        if (logged.has(key)) continue;
        if (logged.size >= MAX_REMEMBERED) logged.clear();
        logged.add(key);
        const reason = printable(text, MAX_TEXT_CHARS);
        log.warn(
          { ...client, resourceName: printable(name, 256), resource: kind, version, reason },
          `a client refused ${one} and keeps the one it had`,
        );
      }
    },
  };
}
