import { z } from 'zod';
import {
  type Bundle,
  checkBundle,
  messageOf,
  type TokenAuthority,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { domainKey, domainOfKey } from './domain-key.ts';
import { federationLimits } from './federation-limits.ts';
import type { ForeignBundle } from './foreign-bundle.ts';
import type { RecordKind } from './record-kind.ts';

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });
const sequence = z.string().regex(/^(0|[1-9][0-9]{0,255})$/u);

const tokenAuthority = z.strictObject({
  keyId: z.string(),
  publicKey: z.base64(),
  expiresAt: z.int().optional(),
  tainted: z.boolean(),
});

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  trustDomain: z.string(),
  sequence: sequence.optional(),
  highestSequence: sequence.optional(),
  refreshHintSeconds: z.int().nonnegative().optional(),
  x509Authorities: z.array(z.strictObject({ certificate: z.base64(), tainted: z.boolean() })),
  jwtAuthorities: z.array(tokenAuthority),
  witAuthorities: z.array(tokenAuthority),
});

const NAME = 'bundle';

export const foreignBundleKind: RecordKind<ForeignBundle> = {
  name: NAME,
  notFoundCode: 'ERR_BUNDLE_NOT_FOUND',
  keyOf: (trustDomain) => domainKey(NAME, trustDomain),
  nameOf: domainOfKey,
  encode: encodeForeignBundle,
  decode: decodeForeignBundle,
};

function encodeForeignBundle({ bundle, highestSequence }: ForeignBundle): Uint8Array {
  const document: z.input<typeof schema> = {
    v: VERSION,
    trustDomain: bundle.trustDomain.name,
    sequence: bundle.sequenceNumber?.toString(),
    highestSequence: highestSequence?.toString(),
    refreshHintSeconds: bundle.refreshHintSeconds,
    x509Authorities: bundle.x509Authorities.map(({ certificate, tainted }) => ({
      certificate: Buffer.from(certificate).toString('base64'),
      tainted,
    })),
    jwtAuthorities: bundle.jwtAuthorities.map(encodeTokenAuthority),
    witAuthorities: bundle.witAuthorities.map(encodeTokenAuthority),
  };
  const bytes = Buffer.from(JSON.stringify(document));
  if (bytes.length <= federationLimits.bundleBytes) return bytes;
  throw new TrustplaneError(
    'ERR_FEDERATION_TOO_LARGE',
    `the bundle of ${bundle.trustDomain.name}: expected at most ${federationLimits.bundleBytes} bytes as it is stored; got ${bytes.length}`,
  );
}

function decodeForeignBundle(key: string, value: Uint8Array): ForeignBundle {
  try {
    const document = schema.parse(JSON.parse(decoder.decode(value)));
    const trustDomain = TrustDomain.parse(document.trustDomain);
    if (domainKey(NAME, trustDomain) !== key) throw new Error(`it is of ${trustDomain.name}`);
    const bundle: Bundle = {
      trustDomain,
      x509Authorities: document.x509Authorities.map(({ certificate, tainted }) => ({
        certificate: decodeBase64(certificate),
        tainted,
      })),
      jwtAuthorities: document.jwtAuthorities.map(decodeTokenAuthority),
      witAuthorities: document.witAuthorities.map(decodeTokenAuthority),
      sequenceNumber: decodeSequence(document.sequence),
      refreshHintSeconds: document.refreshHintSeconds,
    };
    checkBundle(bundle);
    return { bundle, highestSequence: decodeSequence(document.highestSequence) };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_FEDERATION_RECORD',
      `the stored bundle of ${domainOfKey(key)} cannot be read: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function encodeTokenAuthority({ keyId, publicKey, expiresAt, tainted }: TokenAuthority) {
  return { keyId, publicKey: Buffer.from(publicKey).toString('base64'), expiresAt, tainted };
}

function decodeTokenAuthority({
  keyId,
  publicKey,
  expiresAt,
  tainted,
}: z.output<typeof tokenAuthority>): TokenAuthority {
  return { keyId, publicKey: decodeBase64(publicKey), expiresAt, tainted };
}

function decodeSequence(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : BigInt(text);
}

function decodeBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
