import { z } from 'zod';
import {
  type Bundle,
  messageOf,
  parseCertificate,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/** One X.509 authority of the own bundle, with the server that signs with it. */
interface PublishedAuthority {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly tainted: boolean;
  readonly publishedBy: string;
}

/** What the store holds of the own trust domain's bundle. Immutable. */
export interface BundleRecord {
  /** From 1; one more with each change of the rest. */
  readonly sequence: bigint;
  readonly refreshHintSeconds: number;
  /** In the order they were published. */
  readonly x509Authorities: readonly PublishedAuthority[];
}

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });
const schema = z.strictObject({
  v: z.literal(VERSION),
  trustDomain: z.string(),
  sequence: z.string().regex(/^[1-9][0-9]{0,38}$/u),
  refreshHintSeconds: z.int().positive(),
  x509Authorities: z
    .array(
      z.strictObject({
        certificate: z.base64().min(1).max(65_536),
        tainted: z.boolean(),
        publishedBy: z.string().min(1).max(64),
      }),
    )
    .max(1024),
});

export function encodeBundleRecord(record: BundleRecord, trustDomain: TrustDomain): Uint8Array {
  const document: z.input<typeof schema> = {
    v: VERSION,
    trustDomain: trustDomain.name,
    sequence: record.sequence.toString(),
    refreshHintSeconds: record.refreshHintSeconds,
    x509Authorities: record.x509Authorities.map((authority) => ({
      certificate: Buffer.from(authority.certificate).toString('base64'),
      tainted: authority.tainted,
      publishedBy: authority.publishedBy,
    })),
  };
  return Buffer.from(JSON.stringify(document));
}

/** @throws TrustplaneError ERR_OWN_BUNDLE */
export function decodeBundleRecord(value: Uint8Array, trustDomain: TrustDomain): BundleRecord {
  try {
    const document = schema.parse(JSON.parse(decoder.decode(value)));
    if (document.trustDomain !== trustDomain.name) {
      throw new Error(`it is of the trust domain ${JSON.stringify(document.trustDomain)}`);
    }
    return {
      sequence: BigInt(document.sequence),
      refreshHintSeconds: document.refreshHintSeconds,
      x509Authorities: document.x509Authorities.map((authority) => ({
        ...authority,
        certificate: parseCertificate(decodeBase64(authority.certificate)).der,
      })),
    };
  } catch (cause) {
    throw new TrustplaneError(
      'ERR_OWN_BUNDLE',
      `the stored bundle of ${trustDomain.name} is damaged or of a newer release: ${messageOf(cause)}`,
      { cause },
    );
  }
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
    jwtAuthorities: [],
    witAuthorities: [],
    sequenceNumber: record.sequence,
    refreshHintSeconds: record.refreshHintSeconds,
  };
}
