import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  type Bundle,
  messageOf,
  parseCertificate,
  parsePublicKey,
  type TokenAuthority,
  type TrustDomain,
  TrustplaneError,
  type X509Authority,
} from '../spiffe/index.ts';

/** Where an authority comes from. */
export interface Provenance {
  /** When it came into the bundle, milliseconds since the epoch. */
  readonly publishedAt: number;
  /** The server that signs with it. */
  readonly publishedBy: string;
}

export type PublishedX509Authority = X509Authority & Provenance;
export type PublishedJwtAuthority = TokenAuthority & Provenance;

/** The keys of the own bundle, in the order they were published. */
export interface BundleKeys {
  readonly x509Authorities: readonly PublishedX509Authority[];
  readonly jwtAuthorities: readonly PublishedJwtAuthority[];
  readonly revoked: readonly RevokedAuthority[];
}

/** An authority that does not come back, whoever still has it. */
export interface RevokedAuthority {
  /** As `authorityName` makes it. */
  readonly name: string;
  /** When it has ended by itself, milliseconds since the epoch. */
  readonly until: number;
}

/** What the store holds of the own trust domain's bundle. Immutable. */
export interface BundleRecord extends BundleKeys {
  /** From 1; one more with each change of the rest. */
  readonly sequence: bigint;
  readonly refreshHintSeconds: number;
}

const VERSION = 3;
const MAX_AUTHORITIES = 1024;
const decoder = new TextDecoder('utf-8', { fatal: true });

const der = z.base64().min(1).max(65_536);
const serverId = z.string().min(1).max(64);
const instant = z.int().nonnegative();
const head = {
  trustDomain: z.string(),
  sequence: z.string().regex(/^[1-9][0-9]{0,38}$/u),
  refreshHintSeconds: z.int().positive(),
};
const x509Authority = { certificate: der, tainted: z.boolean(), publishedBy: serverId };
/** As the first release wrote it: X.509 authorities alone, without the instant they were published at. */
const schema1 = z.strictObject({
  v: z.literal(1),
  ...head,
  x509Authorities: z.array(z.strictObject(x509Authority)).max(MAX_AUTHORITIES),
});
const fields2 = {
  ...head,
  x509Authorities: z
    .array(z.strictObject({ ...x509Authority, publishedAt: instant }))
    .max(MAX_AUTHORITIES),
  jwtAuthorities: z
    .array(
      z.strictObject({
        keyId: z.string().min(1).max(256),
        publicKey: der,
        expiresAt: instant.optional(),
        tainted: z.boolean(),
        publishedAt: instant,
        publishedBy: serverId,
      }),
    )
    .max(MAX_AUTHORITIES),
};
/** As a release wrote it that forgot what was revoked. */
const schema2 = z.strictObject({ v: z.literal(2), ...fields2 });
const schema3 = z.strictObject({
  v: z.literal(VERSION),
  ...fields2,
  revoked: z
    .array(z.strictObject({ name: z.string().min(1).max(300), until: instant }))
    .max(MAX_AUTHORITIES),
});
const schema = z.discriminatedUnion('v', [schema1, schema2, schema3]);

/** Tells authorities of both kinds apart: the SHA-256 of a certificate (DER), or a key ID. */
export function authorityName(authority: { certificate: Uint8Array } | { keyId: string }): string {
  if ('keyId' in authority) return `jwt ${authority.keyId}`;
  return `x509 ${createHash('sha256').update(authority.certificate).digest('base64url')}`;
}

export function encodeBundleRecord(record: BundleRecord, trustDomain: TrustDomain): Uint8Array {
  const document: z.input<typeof schema3> = {
    v: VERSION,
    trustDomain: trustDomain.name,
    sequence: record.sequence.toString(),
    refreshHintSeconds: record.refreshHintSeconds,
    x509Authorities: record.x509Authorities.map((authority) => ({
      certificate: encodeBase64(authority.certificate),
      tainted: authority.tainted,
      publishedAt: authority.publishedAt,
      publishedBy: authority.publishedBy,
    })),
    jwtAuthorities: record.jwtAuthorities.map((authority) => ({
      keyId: authority.keyId,
      publicKey: encodeBase64(authority.publicKey),
      expiresAt: authority.expiresAt,
      tainted: authority.tainted,
      publishedAt: authority.publishedAt,
      publishedBy: authority.publishedBy,
    })),
    revoked: record.revoked.map(({ name, until }) => ({ name, until })),
  };
  return Buffer.from(JSON.stringify(document));
}

/**
 * Reads a record of this or an earlier version.
 * @throws TrustplaneError ERR_OWN_BUNDLE
 */
export function decodeBundleRecord(value: Uint8Array, trustDomain: TrustDomain): BundleRecord {
  try {
    const document = schema.parse(JSON.parse(decoder.decode(value)));
    if (document.trustDomain !== trustDomain.name) {
      throw new Error(`it is of the trust domain ${JSON.stringify(document.trustDomain)}`);
    }
    return {
      sequence: BigInt(document.sequence),
      refreshHintSeconds: document.refreshHintSeconds,
      x509Authorities: document.x509Authorities.map(readX509Authority),
      jwtAuthorities: document.v === 1 ? [] : document.jwtAuthorities.map(readJwtAuthority),
      revoked: document.v === 3 ? document.revoked : [],
    };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_OWN_BUNDLE',
      `the stored bundle of ${trustDomain.name} is damaged or of a newer release: ${messageOf(cause)}`,
      { cause },
    );
  }
}

function readX509Authority(
  stored: z.output<typeof schema>['x509Authorities'][number],
): PublishedX509Authority {
  const certificate = parseCertificate(decodeBase64(stored.certificate));
  return {
    certificate: certificate.der,
    tainted: stored.tainted,
    publishedAt: 'publishedAt' in stored ? stored.publishedAt : certificate.notBefore,
    publishedBy: stored.publishedBy,
  };
}

function readJwtAuthority(
  stored: z.output<typeof schema2>['jwtAuthorities'][number],
): PublishedJwtAuthority {
  const publicKey = decodeBase64(stored.publicKey);
  parsePublicKey(publicKey);
  return { ...stored, publicKey, expiresAt: stored.expiresAt };
}

function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function decodeBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

export function bundleOf(record: BundleRecord, trustDomain: TrustDomain): Bundle {
  return {
    trustDomain,
    x509Authorities: record.x509Authorities.map(({ certificate, tainted }) => ({
      certificate,
      tainted,
    })),
    jwtAuthorities: record.jwtAuthorities.map(({ keyId, publicKey, expiresAt, tainted }) => ({
      keyId,
      publicKey,
      expiresAt,
      tainted,
    })),
    witAuthorities: [],
    sequenceNumber: record.sequence,
    refreshHintSeconds: record.refreshHintSeconds,
  };
}
