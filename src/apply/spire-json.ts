import { z } from 'zod';
import { messageOf, parseJson, quote, TrustplaneError } from '../spiffe/index.ts';

/** Of one file; the reader of files has the same bound. */
const MAX_BYTES = 268_435_456;

/** 64-bit integers, which protobuf's JSON writes as text. */
const int64 = z.union([z.string().regex(/^\d{1,19}$/u), z.int().min(0)]).transform(String);
const bytes = z.base64();
const spiffeId = z.looseObject({ trust_domain: z.string(), path: z.string() });

/** An ID in two parts. */
interface SpireId {
  readonly trust_domain: string;
  readonly path: string;
}

/** What is read of an entry as SPIRE prints it. */
export interface SpireEntry {
  readonly id: string;
  readonly spiffe_id: SpireId;
  readonly parent_id: SpireId;
  readonly selectors: readonly { readonly type: string; readonly value: string }[];
  /** Of releases before 1.5. */
  readonly ttl?: number | undefined;
  readonly x509_svid_ttl?: number | undefined;
  readonly jwt_svid_ttl?: number | undefined;
  readonly federates_with?: readonly string[] | undefined;
  readonly dns_names?: readonly string[] | undefined;
  readonly hint?: string | undefined;
  readonly admin?: boolean | undefined;
  readonly downstream?: boolean | undefined;
  readonly store_svid?: boolean | undefined;
  readonly expires_at?: string | undefined;
  readonly additional_attributes?:
    | {
        readonly disable_x509_svid_prefetch?: boolean | undefined;
        readonly jwt_svid_include_jti?: boolean | undefined;
      }
    | null
    | undefined;
}

interface SpireTokenAuthority {
  readonly key_id: string;
  /** SubjectPublicKeyInfo, base64. */
  readonly public_key: string;
  readonly expires_at?: string | undefined;
  readonly tainted?: boolean | undefined;
}

/** What is read of a bundle. */
export interface SpireBundle {
  readonly trust_domain: string;
  readonly x509_authorities?:
    | readonly { readonly asn1: string; readonly tainted?: boolean | undefined }[]
    | undefined;
  readonly jwt_authorities?: readonly SpireTokenAuthority[] | undefined;
  readonly wit_authorities?: readonly SpireTokenAuthority[] | undefined;
  readonly refresh_hint?: string | undefined;
  readonly sequence_number?: string | undefined;
}

/** What is read of a federated relationship. */
export interface SpireRelationship {
  readonly trust_domain: string;
  readonly bundle_endpoint_url: string;
  readonly https_web?: object | null | undefined;
  readonly https_spiffe?: { readonly endpoint_spiffe_id: string } | null | undefined;
  readonly trust_domain_bundle?: SpireBundle | null | undefined;
}

export const spireEntry: z.ZodType<SpireEntry> = z.looseObject({
  id: z.string(),
  spiffe_id: spiffeId,
  parent_id: spiffeId,
  selectors: z.array(z.looseObject({ type: z.string(), value: z.string() })),
  ttl: z.int().min(0).optional(),
  x509_svid_ttl: z.int().min(0).optional(),
  jwt_svid_ttl: z.int().min(0).optional(),
  federates_with: z.array(z.string()).optional(),
  dns_names: z.array(z.string()).optional(),
  hint: z.string().optional(),
  admin: z.boolean().optional(),
  downstream: z.boolean().optional(),
  store_svid: z.boolean().optional(),
  expires_at: int64.optional(),
  additional_attributes: z
    .looseObject({
      disable_x509_svid_prefetch: z.boolean().optional(),
      jwt_svid_include_jti: z.boolean().optional(),
    })
    .nullish(),
});

const tokenAuthority = z.looseObject({
  key_id: z.string(),
  public_key: bytes,
  expires_at: int64.optional(),
  tainted: z.boolean().optional(),
});

export const spireBundle: z.ZodType<SpireBundle> = z.looseObject({
  trust_domain: z.string(),
  x509_authorities: z
    .array(z.looseObject({ asn1: bytes, tainted: z.boolean().optional() }))
    .optional(),
  jwt_authorities: z.array(tokenAuthority).optional(),
  wit_authorities: z.array(tokenAuthority).optional(),
  refresh_hint: int64.optional(),
  sequence_number: int64.optional(),
});

export const spireRelationship: z.ZodType<SpireRelationship> = z.looseObject({
  trust_domain: z.string(),
  bundle_endpoint_url: z.string(),
  https_web: z.looseObject({}).nullish(),
  https_spiffe: z.looseObject({ endpoint_spiffe_id: z.string() }).nullish(),
  trust_domain_bundle: spireBundle.nullish(),
});

/**
 * The list that `spire-server … -output json` printed: fields that are not known are passed over, those
 * that are have to be as SPIRE prints them.
 * @throws TrustplaneError ERR_IMPORT
 */
export function readSpireList<Item extends z.ZodType>(
  text: string,
  field: 'entries' | 'bundles' | 'federation_relationships',
  item: Item,
  name: string,
): readonly z.output<Item>[] {
  const { success, data, error } = z
    .looseObject({ [field]: z.array(item) })
    .safeParse(jsonOf(text, name));
  if (success) return data[field] ?? [];
  const lines = error.issues
    .slice(0, 100)
    .map(({ path, message }) => `${name}: ${path.join('.') || 'the whole'}: ${message}`);
  throw new TrustplaneError('ERR_IMPORT', lines.join('\n'));
}

function jsonOf(text: string, name: string): unknown {
  try {
    // Of two members of one name the other reader would take the last without a word.
    parseJson(text, { maxBytes: MAX_BYTES });
    return JSON.parse(text);
  } catch (cause) {
    const message = `${name}: expected JSON; ${messageOf(cause)}; it begins with ${quote(text, 40)}`;
    throw new TrustplaneError('ERR_IMPORT', message, { cause });
  }
}
