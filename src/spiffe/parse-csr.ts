import { createPublicKey, verify } from 'node:crypto';
import {
  constructedContextTag,
  contextTag,
  DerReader,
  derContent,
  derEncoded,
  derTags,
} from './der-reader.ts';
import { derAscii, derBitStringBytes, derBoolean, derOid, derSmallInteger } from './der-values.ts';
import { TrustplaneError } from './errors.ts';
import { type PublicKeyType, parsePublicKey } from './public-key.ts';

/** What a certification request asks for, its proof of possession checked. */
export interface Csr {
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** As they stand in the request; not parsed as SPIFFE IDs. */
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
}

const MAX_CSR_BYTES = 16_384;
const MAX_NAMES = 256;
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const SUBJECT_ALT_NAME = '2.5.29.17';
const DNS_NAME = contextTag(2);
const URI_NAME = contextTag(6);
const signatureAlgorithms = new Map<string, { readonly hash: string; readonly isRsa: boolean }>([
  ['1.2.840.10045.4.3.2', { hash: 'sha256', isRsa: false }],
  ['1.2.840.10045.4.3.3', { hash: 'sha384', isRsa: false }],
  ['1.2.840.10045.4.3.4', { hash: 'sha512', isRsa: false }],
  ['1.2.840.113549.1.1.11', { hash: 'sha256', isRsa: true }],
  ['1.2.840.113549.1.1.12', { hash: 'sha384', isRsa: true }],
  ['1.2.840.113549.1.1.13', { hash: 'sha512', isRsa: true }],
]);

/**
 * Parses a PKCS#10 request (RFC 2986, DER) of at most 16 KiB and 256 names, for a key that
 * `parsePublicKey` takes, and verifies that it is signed with that key. The subject and attributes
 * other than the subject alternative name are ignored.
 * @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY, ERR_CSR, ERR_CSR_SIGNATURE
 */
export function parseCsr(der: Uint8Array): Csr {
  const outer = DerReader.of(der, MAX_CSR_BYTES);
  const request = outer.enter('certification request');
  outer.finish('certification request');
  const info = request.expect(derTags.sequence, 'request info');
  const algorithm = request.enter('signature algorithm');
  const signature = derBitStringBytes(request.expect(derTags.bitString, 'signature'), 'signature');
  request.finish('certification request');

  const fields = DerReader.inside(info, 'request info');
  const version = derSmallInteger(fields.expect(derTags.integer, 'version'), 'version');
  if (version !== 0) throw malformed(`version 1 (0); got ${version}`);
  fields.expect(derTags.sequence, 'subject');
  const publicKey = Uint8Array.from(derEncoded(fields.expect(derTags.sequence, 'public key')));
  const keyType = parsePublicKey(publicKey).type;
  const names = parseAttributes(fields.enter('attributes', constructedContextTag(0)));
  fields.finish('request info');

  verifyPossession(derEncoded(info), publicKey, signatureHash(algorithm, keyType), signature);
  return { publicKey, ...names };
}

type Names = Pick<Csr, 'uriSans' | 'dnsSans'>;

function parseAttributes(attributes: DerReader): Names {
  let names: Names | undefined;
  while (!attributes.atEnd) {
    const attribute = attributes.enter('attribute');
    const oid = derOid(attribute.expect(derTags.oid, 'attribute type'), 'attribute type');
    const values = attribute.enter('attribute values', derTags.set);
    attribute.finish('attribute');
    if (oid !== EXTENSION_REQUEST) continue;
    if (names !== undefined) throw malformed('one extension request; got several');
    names = parseExtensions(values.enter('extension request'));
    values.finish('extension request');
  }
  return names ?? { uriSans: [], dnsSans: [] };
}

function parseExtensions(extensions: DerReader): Names {
  let names: Names | undefined;
  while (!extensions.atEnd) {
    const extension = extensions.enter('extension');
    const oid = derOid(extension.expect(derTags.oid, 'extension type'), 'extension type');
    const critical = extension.optional(derTags.boolean, 'critical');
    if (critical !== undefined) derBoolean(critical, 'critical');
    const value = extension.expect(derTags.octetString, 'extension value');
    extension.finish('extension');
    if (oid !== SUBJECT_ALT_NAME) continue;
    if (names !== undefined) throw malformed('one subject alternative name; got several');
    names = parseAltNames(derContent(value));
  }
  return names ?? { uriSans: [], dnsSans: [] };
}

function parseAltNames(der: Uint8Array): Names {
  const outer = DerReader.of(der);
  const reader = outer.enter('subject alternative name');
  outer.finish('subject alternative name');
  const uriSans: string[] = [];
  const dnsSans: string[] = [];
  for (let count = 0; !reader.atEnd; count++) {
    if (count === MAX_NAMES) throw malformed(`at most ${MAX_NAMES} names; got more`);
    const name = reader.read('name');
    if (name.tag === URI_NAME) uriSans.push(derAscii(name, 'URI name'));
    else if (name.tag === DNS_NAME) dnsSans.push(derAscii(name, 'DNS name'));
  }
  return { uriSans, dnsSans };
}

function signatureHash(algorithm: DerReader, keyType: PublicKeyType): string {
  const oid = derOid(algorithm.expect(derTags.oid, 'signature algorithm'), 'signature algorithm');
  const found = signatureAlgorithms.get(oid);
  if (found === undefined || found.isRsa !== (keyType === 'rsa')) {
    throw malformed(`a signature with SHA-256 or better by a key of type ${keyType}; got ${oid}`);
  }
  algorithm.optional(derTags.null, 'signature parameters');
  algorithm.finish('signature algorithm');
  return found.hash;
}

function verifyPossession(
  info: Uint8Array,
  publicKey: Uint8Array,
  hash: string,
  signature: Uint8Array,
): void {
  let isSigned = false;
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    isSigned = verify(hash, info, key, signature);
  } catch (cause) {
    throw new TrustplaneError('ERR_PUBLIC_KEY', 'the key of the request is not valid', { cause });
  }
  if (!isSigned) {
    throw new TrustplaneError(
      'ERR_CSR_SIGNATURE',
      'the request is not signed with the key it carries',
    );
  }
}

function malformed(expected: string): TrustplaneError {
  return new TrustplaneError('ERR_CSR', `a certification request has ${expected}`);
}
