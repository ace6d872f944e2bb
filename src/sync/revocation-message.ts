import {
  messageOf,
  quote,
  type Revocation,
  type RevocationKind,
  SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { itemLimits } from './item-limits.ts';
import { parseCount } from './wire-values.ts';

/** trustplane.sync.v1.Revocation; 64-bit integers are decimal text. */
export interface WireRevocation {
  readonly id?: string;
  readonly kind?: string;
  readonly value?: string;
  readonly issued_before?: string;
  readonly expires_at?: string;
  readonly reason?: string;
}

const CODE = 'ERR_SYNC_REVOCATION';
const ID = /^[A-Za-z0-9._-]{1,255}$/u;
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;
const kinds: Readonly<Record<RevocationKind, string>> = {
  'spiffe-id': 'KIND_SPIFFE_ID',
  entry: 'KIND_ENTRY',
  serial: 'KIND_SERIAL',
  agent: 'KIND_AGENT',
};
const values: Readonly<Record<RevocationKind, (text: string) => boolean>> = {
  'spiffe-id': isSpiffeId,
  agent: isSpiffeId,
  entry: (text) => ID.test(text),
  serial: (text) => /^[0-9A-Fa-f]{1,40}$/u.test(text),
};

export function buildRevocationMessage(revocation: Revocation): WireRevocation {
  return {
    id: revocation.id,
    kind: kinds[revocation.kind],
    value: revocation.value,
    issued_before: String(revocation.issuedBefore),
    expires_at: String(revocation.expiresAt),
    reason: revocation.reason,
  };
}

/** @throws TrustplaneError ERR_SYNC_REVOCATION */
export function parseRevocationMessage(message: WireRevocation): Revocation {
  const { id = '', value = '', reason = '' } = message;
  if (!ID.test(id)) throw fault('id', 'an ID', id);
  const kind = parseKind(message.kind ?? '');
  if (value.length > itemLimits.textBytes || !values[kind](value)) {
    throw fault('value', `what names one of kind ${kind}`, value);
  }
  if (Buffer.byteLength(reason) > itemLimits.textBytes || UNPRINTABLE.test(reason)) {
    throw fault('reason', `at most ${itemLimits.textBytes} bytes of text`, reason);
  }
  return {
    id,
    kind,
    value,
    issuedBefore: parseCount(message.issued_before, 'issued_before', CODE),
    expiresAt: parseCount(message.expires_at, 'expires_at', CODE),
    reason,
  };
}

/** A kind that is not known would not be refused: nothing is taken that holds one. */
function parseKind(text: string): RevocationKind {
  for (const [kind, name] of Object.entries(kinds)) if (name === text && isKind(kind)) return kind;
  throw fault('kind', Object.values(kinds).join(', '), text);
}

function isKind(text: string): text is RevocationKind {
  return Object.hasOwn(kinds, text);
}

function isSpiffeId(text: string): boolean {
  try {
    return SpiffeId.parse(text).toString() === text;
  } catch (error) {
    throw fault('value', 'a SPIFFE ID', messageOf(error));
  }
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(
    CODE,
    `a revocation's ${field}: expected ${expected}; got ${quote(got)}`,
  );
}
