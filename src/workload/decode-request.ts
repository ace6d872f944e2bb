import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { messageType, strictBytes } from '../wire/index.ts';

/**
 * The fields of a request; those that were not on the wire have protobuf's defaults. Fields of later
 * versions are skipped.
 * @throws TrustplaneError ERR_WORKLOAD_REQUEST
 */
export function decodeRequest(typeName: string, bytes: Buffer): Readonly<Record<string, unknown>> {
  const type = messageType('workload.proto', typeName);
  try {
    return type.toObject(type.decode(strictBytes(bytes)), { defaults: true, arrays: true });
  } catch (error) {
    throw malformed(`it is not a protobuf message: ${messageOf(error)}`);
  }
}

/** @throws TrustplaneError ERR_WORKLOAD_REQUEST */
export function requireText(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw malformed(`the field "${field}" is required`);
}

function malformed(why: string): TrustplaneError {
  return new TrustplaneError('ERR_WORKLOAD_REQUEST', `the request is malformed: ${why}`);
}
