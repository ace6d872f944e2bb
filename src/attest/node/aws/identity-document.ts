import { type JsonObject, messageOf, parseJson } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';
import { shown } from '../cloud/signed-token.ts';

/** What AWS signs about an instance. */
export interface IdentityDocument {
  /** 12 digits. */
  readonly accountId: string;
  readonly region: string;
  readonly instanceId: string;
  readonly imageId: string;
  readonly availabilityZone: string;
  /** When it was launched, milliseconds since the epoch. */
  readonly pendingTime: number;
}

const MAX_BYTES = 16_384;
const FORMS = {
  accountId: /^\d{12}$/u,
  region: /^[a-z]{2}(?:-[a-z]{2,12}){1,3}-\d{1,2}$/u,
  instanceId: /^i-[0-9a-f]{8,32}$/u,
  imageId: /^ami-[0-9a-f]{8,32}$/u,
  availabilityZone: /^[a-z0-9-]{1,64}$/u,
  pendingTime: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/u,
} as const;

/** Members that are not used are left alone. @throws TrustplaneError ERR_NODE_ATTEST_DOCUMENT */
export function parseIdentityDocument(bytes: Uint8Array): IdentityDocument {
  const document = readObject(bytes);
  const text = (name: keyof typeof FORMS): string => {
    const value = document.get(name);
    if (typeof value === 'string' && FORMS[name].test(value)) return value;
    throw malformed(`${name} is a text of the form ${FORMS[name].source}; got ${shown(value)}`);
  };
  const pendingTime = Date.parse(text('pendingTime'));
  if (Number.isNaN(pendingTime)) throw malformed('pendingTime is no date');
  return {
    accountId: text('accountId'),
    region: text('region'),
    instanceId: text('instanceId'),
    imageId: text('imageId'),
    availabilityZone: text('availabilityZone'),
    pendingTime,
  };
}

function readObject(bytes: Uint8Array): JsonObject {
  let value: ReturnType<typeof parseJson>;
  try {
    value = parseJson(bytes, { maxBytes: MAX_BYTES, maxDepth: 4 });
  } catch (error) {
    throw malformed(messageOf(error));
  }
  if (value instanceof Map) return value;
  throw malformed('it is no JSON object');
}

function malformed(why: string): Error {
  return refused('ERR_NODE_ATTEST_DOCUMENT', `the instance identity document: ${why}`);
}
