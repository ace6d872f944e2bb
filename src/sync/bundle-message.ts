import {
  type Bundle,
  checkBundle,
  messageOf,
  quote,
  type TokenAuthority,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { buildSeconds, parseCount } from './wire-values.ts';

/** spire.api.types.JWTKey and WITKey */
export interface WireTokenKey {
  readonly public_key?: Uint8Array;
  readonly key_id?: string;
  readonly expires_at?: string;
  readonly tainted?: boolean;
}

/** spire.api.types.Bundle; 64-bit integers are decimal text. */
export interface WireBundle {
  readonly trust_domain?: string;
  readonly x509_authorities?: readonly { readonly asn1?: Uint8Array; readonly tainted?: boolean }[];
  readonly jwt_authorities?: readonly WireTokenKey[];
  readonly refresh_hint?: string;
  readonly sequence_number?: string;
  readonly wit_authorities?: readonly WireTokenKey[];
}

/** spire.api.types.BundleMask; undefined for all fields. */
export type BundleMask =
  | { readonly [F in Exclude<keyof WireBundle, 'trust_domain'>]?: boolean }
  | null
  | undefined;

const CODE = 'ERR_SYNC_BUNDLE';

/** The masked fields of a bundle as a message. */
export function buildBundleMessage(bundle: Bundle, mask?: BundleMask): WireBundle {
  const isMeant = (field: keyof NonNullable<BundleMask>): boolean => mask?.[field] ?? !mask;
  return {
    trust_domain: bundle.trustDomain.name,
    ...(isMeant('x509_authorities') && {
      x509_authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({
        asn1: certificate,
        tainted,
      })),
    }),
    ...(isMeant('jwt_authorities') && { jwt_authorities: bundle.jwtAuthorities.map(buildKey) }),
    ...(isMeant('wit_authorities') && { wit_authorities: bundle.witAuthorities.map(buildKey) }),
    ...(isMeant('refresh_hint') && { refresh_hint: String(bundle.refreshHintSeconds ?? 0) }),
    ...(isMeant('sequence_number') && { sequence_number: buildSequence(bundle.sequenceNumber) }),
  };
}

/** @throws TrustplaneError ERR_SYNC_BUNDLE */
export function parseBundleMessage(message: WireBundle): Bundle {
  const name = message.trust_domain ?? '';
  try {
    const bundle = readBundle(message);
    checkBundle(bundle);
    return bundle;
  } catch (cause) {
    throw new TrustplaneError(CODE, `the bundle of ${quote(name)}: ${messageOf(cause)}`, { cause });
  }
}

function readBundle(message: WireBundle): Bundle {
  const sequence = parseSequence(message.sequence_number ?? '0');
  const hint = parseCount(message.refresh_hint, 'refresh_hint', CODE);
  return {
    trustDomain: TrustDomain.parse(message.trust_domain ?? ''),
    x509Authorities: (message.x509_authorities ?? []).map(({ asn1, tainted = false }) => ({
      certificate: Uint8Array.from(asn1 ?? []),
      tainted,
    })),
    jwtAuthorities: (message.jwt_authorities ?? []).map(parseKey),
    witAuthorities: (message.wit_authorities ?? []).map(parseKey),
    sequenceNumber: sequence === 0n ? undefined : sequence,
    refreshHintSeconds: hint === 0 ? undefined : hint,
  };
}

function buildKey({ publicKey, keyId, expiresAt, tainted }: TokenAuthority): WireTokenKey {
  return { public_key: publicKey, key_id: keyId, expires_at: buildSeconds(expiresAt), tainted };
}

/** The field has 64 bits; a bundle's number may have more. */
function buildSequence(sequenceNumber: bigint | undefined): string {
  return String(BigInt.asUintN(64, sequenceNumber ?? 0n));
}

function parseSequence(text: string): bigint {
  if (/^[0-9]{1,20}$/u.test(text)) return BigInt(text);
  throw fault('sequence_number', 'an integer from 0', quote(text));
}

function parseKey(key: WireTokenKey): TokenAuthority {
  const { key_id: keyId = '', tainted = false, public_key: publicKey = new Uint8Array() } = key;
  const seconds = parseCount(key.expires_at, 'expires_at', CODE);
  const expiresAt = seconds === 0 ? undefined : seconds * 1000;
  return { keyId, publicKey: Uint8Array.from(publicKey), expiresAt, tainted };
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(CODE, `${field}: expected ${expected}; got ${got}`);
}
