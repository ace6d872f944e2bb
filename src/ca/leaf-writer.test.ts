import { createPublicKey, verify } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as oracle from '../../test/oracles/x509.ts';
import { derBitStringBytes } from '../spiffe/der-values.ts';
import {
  DerReader,
  derEncoded,
  derTags,
  generateP256KeyPair,
  SpiffeId,
  TrustDomain,
} from '../spiffe/index.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import { keyIdentifier } from './certificate-extensions.ts';
import { type NameAttribute, writeName } from './distinguished-name.ts';
import type { KeyType, SigningKey } from './key-manager.ts';
import {
  buildLeafTemplate,
  defaultX509SvidProfile,
  type X509SvidProfile,
} from './leaf-template.ts';
import { type LeafFields, writeLeaf } from './leaf-writer.ts';
import { createSigningKey, generatePrivateKey } from './private-key.ts';

const issuers: readonly SigningKey[] = await Promise.all(
  (['ec-p256', 'ec-p384', 'rsa-2048'] satisfies KeyType[]).map(async (type) =>
    createSigningKey(`test-${type}`, type, await generatePrivateKey(type)),
  ),
);
const subjectKeys = [...issuers.map((key) => key.publicKey), generateP256KeyPair().publicKey];
const issuerName: readonly NameAttribute[] = [
  { type: 'organization', value: 'trustplane' },
  { type: 'serialNumber', value: '0123abcd' },
];
const algorithms = {
  'ec-p256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'ec-p384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'rsa-2048': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  'rsa-4096': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
};
const shortNames = {
  commonName: 'CN',
  serialNumber: '2.5.4.5',
  country: 'C',
  organization: 'O',
  organizationalUnit: 'OU',
};

const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,40}$/);
const spiffeIds = fc
  .tuple(
    fc.stringMatching(/^[a-z0-9._-]{1,255}$/),
    fc.array(segment, { minLength: 1, maxLength: 60 }),
  )
  .map(([domain, path]) => `spiffe://${domain}/${path.join('/')}`.slice(0, 2048))
  .chain((text) => fc.constantFrom(text, text.padEnd(2048, '/long')))
  .map((text) => SpiffeId.parse(text.replace(/\/$/, 'x')));
const instants = fc.oneof(
  fc.integer({ min: Date.parse('1950-01-01'), max: Date.parse('9998-12-31') }),
  fc.integer({ min: Date.parse('2049-12-31T23:59:50Z'), max: Date.parse('2050-01-01T00:00:10Z') }),
);
const seconds = instants.map((instant) => Math.floor(instant / 1000) * 1000);
const serials = fc
  .uint8Array({ minLength: 1, maxLength: 19 })
  .filter((bytes) => bytes.some((octet) => octet !== 0));
const profiles: fc.Arbitrary<X509SvidProfile> = fc.record({
  subject: fc.constantFrom<readonly NameAttribute[]>(
    defaultX509SvidProfile.subject,
    [],
    [
      { type: 'country', value: 'US' },
      { type: 'organization', value: 'Bäckerei & Söhne' },
      { type: 'organizationalUnit', value: 'a*b' },
    ],
  ),
  commonName: fc.constantFrom('none', 'first-dns-name'),
  keyUsages: fc.uniqueArray(fc.constantFrom('keyEncipherment', 'keyAgreement')),
});
const leaves: fc.Arbitrary<LeafFields> = fc.record({
  serialNumber: serials,
  notBefore: seconds,
  notAfter: seconds,
  spiffeId: spiffeIds,
  dnsNames: fc.array(fc.stringMatching(/^(\*\.)?[a-z0-9]{1,60}(\.[a-z0-9]{1,60}){0,3}$/), {
    maxLength: 4,
  }),
  publicKey: fc.constantFrom(...subjectKeys),
});

describe('writeLeaf', () => {
  it('signs the bytes @peculiar/x509 encodes for the same fields (X509-4, X509-11, X509-13, ID-8, ID-14)', async () => {
    await fc.assert(
      fc.asyncProperty(
        leaves,
        profiles,
        fc.constantFrom(...issuers),
        async (fields, profile, key) => {
          const issuer = { key, name: writeName(issuerName), keyId: keyIdentifier(key.publicKey) };
          const leaf = await writeLeaf(buildLeafTemplate(issuer, profile), fields);
          expect(withoutSignature(leaf)).toEqual(await peculiarLeaf(fields, profile, key));
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each(issuers.map((key) => [key.keyType, key] as const))(
    'makes signatures that verify with %s',
    async (_, key) => {
      const spiffeId = SpiffeId.parse('spiffe://a.test/web');
      const leaf = await writeLeaf(
        buildLeafTemplate(
          { key, name: writeName(issuerName), keyId: keyIdentifier(key.publicKey) },
          defaultX509SvidProfile,
        ),
        {
          serialNumber: Uint8Array.of(1),
          notBefore: 0,
          notAfter: 1000,
          spiffeId,
          dnsNames: [],
          publicKey: subjectKeys[0] ?? new Uint8Array(),
        },
      );
      const publicKey = createPublicKey({
        key: Buffer.from(key.publicKey),
        format: 'der',
        type: 'spki',
      });
      const hash = key.keyType === 'ec-p384' ? 'sha384' : 'sha256';
      const { tbs, signature } = split(leaf);
      expect(verify(hash, tbs, publicKey, signature)).toBe(true);
    },
  );
});

describe('writeCaCertificate', () => {
  it('is what @peculiar/x509 encodes for the same fields (X509-5, X509-6, X509-12, X509-14, ID-13)', async () => {
    await fc.assert(
      fc.asyncProperty(
        serials,
        seconds,
        fc.constantFrom(...issuers),
        async (serialNumber, notBefore, key) => {
          const trustDomain = TrustDomain.parse('a.test');
          const notAfter = notBefore + 3_600_000;
          const ca = await writeCaCertificate({
            key,
            serialNumber,
            notBefore,
            notAfter,
            trustDomain,
          });
          const name = new oracle.Name([
            { O: [{ printableString: 'trustplane' }] },
            { '2.5.4.5': [{ printableString: Buffer.from(serialNumber).toString('hex') }] },
          ]);
          const keyId = hex(keyIdentifier(key.publicKey));
          const twin = await encode(key, {
            serialNumber: hex(serialNumber),
            subject: name,
            issuer: name,
            notBefore: new Date(notBefore),
            notAfter: new Date(notAfter),
            publicKey: key.publicKey,
            extensions: [
              new oracle.KeyUsagesExtension(
                oracle.KeyUsageFlags.keyCertSign | oracle.KeyUsageFlags.cRLSign,
                true,
              ),
              new oracle.BasicConstraintsExtension(true, undefined, true),
              new oracle.SubjectKeyIdentifierExtension(keyId),
              new oracle.AuthorityKeyIdentifierExtension(keyId),
              new oracle.SubjectAlternativeNameExtension([
                { type: 'url', value: 'spiffe://a.test' },
              ]),
            ],
          });
          expect(withoutSignature(ca)).toEqual(twin);
        },
      ),
      { numRuns: 40 },
    );
  });
});

type CertificateFields = Pick<
  oracle.X509CertificateCreateCommonParams,
  'serialNumber' | 'subject' | 'issuer' | 'notBefore' | 'notAfter' | 'extensions'
> & { publicKey: Uint8Array };

function peculiarLeaf(
  fields: LeafFields,
  profile: X509SvidProfile,
  key: SigningKey,
): Promise<Signed> {
  const { digitalSignature, keyEncipherment, keyAgreement } = oracle.KeyUsageFlags;
  let usage = digitalSignature;
  if (profile.keyUsages.includes('keyEncipherment')) usage |= keyEncipherment;
  if (profile.keyUsages.includes('keyAgreement')) usage |= keyAgreement;
  const commonName = fields.dnsNames.find((name) => name.length <= 64);
  const subject: NameAttribute[] = [...profile.subject];
  if (profile.commonName === 'first-dns-name' && commonName !== undefined) {
    subject.push({ type: 'commonName', value: commonName });
  }
  return encode(key, {
    serialNumber: hex(fields.serialNumber),
    subject: peculiarName(subject),
    issuer: peculiarName(issuerName),
    notBefore: new Date(fields.notBefore),
    notAfter: new Date(fields.notAfter),
    publicKey: fields.publicKey,
    extensions: [
      new oracle.KeyUsagesExtension(usage, true),
      new oracle.ExtendedKeyUsageExtension([
        oracle.ExtendedKeyUsage.serverAuth,
        oracle.ExtendedKeyUsage.clientAuth,
      ]),
      new oracle.BasicConstraintsExtension(false, undefined, true),
      new oracle.SubjectKeyIdentifierExtension(hex(keyIdentifier(fields.publicKey))),
      new oracle.AuthorityKeyIdentifierExtension(hex(keyIdentifier(key.publicKey))),
      new oracle.SubjectAlternativeNameExtension(
        [
          { type: 'url', value: fields.spiffeId.toString() },
          ...fields.dnsNames.map((value) => ({ type: 'dns' as const, value })),
        ],
        subject.length === 0,
      ),
    ],
  });
}

function peculiarName(attributes: readonly NameAttribute[]): oracle.Name {
  return new oracle.Name(
    attributes.map(({ type, value }) => ({ [shortNames[type]]: [directoryString(value)] })),
  );
}

function directoryString(value: string): { printableString: string } | { utf8String: string } {
  return /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value)
    ? { printableString: value }
    : { utf8String: value };
}

/** A certificate's signed part and its outer algorithm, in hex. */
interface Signed {
  readonly tbs: string;
  readonly algorithm: string;
}

async function encode(key: SigningKey, fields: CertificateFields): Promise<Signed> {
  const certificate = await oracle.X509CertificateGenerator.create({
    ...fields,
    publicKey: new oracle.PublicKey(Uint8Array.from(fields.publicKey)),
    signature: new Uint8Array(key.keyType === 'ec-p384' ? 96 : 64).fill(1),
    signingAlgorithm: algorithms[key.keyType],
  });
  return withoutSignature(new Uint8Array(certificate.rawData));
}

function withoutSignature(certificate: Uint8Array): Signed {
  const { tbs, algorithm } = split(certificate);
  return { tbs: hex(tbs), algorithm: hex(algorithm) };
}

function split(certificate: Uint8Array) {
  const reader = DerReader.of(certificate).enter('certificate');
  const tbs = derEncoded(reader.expect(derTags.sequence, 'tbs'));
  const algorithm = derEncoded(reader.expect(derTags.sequence, 'algorithm'));
  const signature = derBitStringBytes(reader.expect(derTags.bitString, 'signature'), 'signature');
  return { tbs, algorithm, signature };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
