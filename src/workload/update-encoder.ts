import type { WorkloadUpdate } from '../spiffe/index.ts';
import { messageType } from '../wire/index.ts';

/** Makes the message of one method out of an update. */
export type UpdateEncoder = (update: WorkloadUpdate) => Buffer;

/** An encoder that does its work once per update, however many streams send it. */
export function oncePerUpdate(
  typeName: string,
  build: (update: WorkloadUpdate) => Record<string, unknown>,
): UpdateEncoder {
  const type = messageType('workload.proto', typeName);
  const encoded = new WeakMap<WorkloadUpdate, Buffer>();
  return (update) => {
    let bytes = encoded.get(update);
    if (bytes === undefined) {
      bytes = Buffer.from(type.encode(build(update)).finish());
      encoded.set(update, bytes);
    }
    return bytes;
  };
}
