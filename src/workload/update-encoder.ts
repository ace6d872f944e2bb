import type { Bundle, WorkloadUpdate } from '../spiffe/index.ts';
import { type Encoded, encodeMessage, messageType, toBuffer } from '../wire/index.ts';

/** Makes the message of one method out of an update. */
export type UpdateEncoder = (update: WorkloadUpdate) => Buffer;

/** What a message is made of. */
export interface UpdateParts {
  /** Its fields save the map of bundles. */
  build(update: WorkloadUpdate): object;
  /** A map of `spiffe://<trust domain>` to bytes. */
  readonly mapField: string;
  bundlesOf(update: WorkloadUpdate): Iterable<Bundle>;
  /** Undefined leaves the bundle out. */
  valueOf(bundle: Bundle): Uint8Array | undefined;
}

/**
 * An encoder that does its work once per update, however many streams send it, and for each bundle
 * once: of thousands in an update one changes.
 */
export function oncePerUpdate(typeName: string, parts: UpdateParts): UpdateEncoder {
  const type = messageType('workload.proto', typeName);
  const messages = new WeakMap<WorkloadUpdate, Buffer>();
  const entries = new WeakMap<Bundle, Encoded>();
  const encodeEntry = (bundle: Bundle): Encoded => {
    const value = parts.valueOf(bundle);
    const map = value === undefined ? {} : { [bundle.trustDomain.id]: value };
    return encodeMessage(type, { [parts.mapField]: map });
  };
  const entryOf = (bundle: Bundle): Encoded => {
    const known = entries.get(bundle) ?? encodeEntry(bundle);
    entries.set(bundle, known);
    return known;
  };
  return (update) => {
    const known = messages.get(update);
    if (known !== undefined) return known;
    const maps = Array.from(parts.bundlesOf(update), entryOf);
    const message = toBuffer(encodeMessage(type, parts.build(update), ...maps));
    messages.set(update, message);
    return message;
  };
}
