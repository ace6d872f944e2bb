import { beforeAll, describe, expect, it } from 'vitest';
import {
  hugeRsaKeys,
  makeAuthority,
  makeCertificate,
  rsaKeys,
  type TestCertificate,
  testNow,
} from '../../../test/fakes/test-certificates.ts';
import {
  attestationWith,
  attestorOf,
  editJson,
  exchange,
  makeNodePki,
  type NodePki,
  type Tampering,
} from '../../../test/fakes/x509pop-place.ts';
import * as oracle from '../../../test/oracles/x509.ts';
import type { ErrorCode } from '../../spiffe/index.ts';

const HOUR_MS = 3_600_000;
const refusal = (code: ErrorCode, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });

let pki: NodePki;
let node: TestCertificate;
beforeAll(async () => {
  pki = await makeNodePki();
  node = await pki.node();
});

/** One thing that is wrong in an exchange that is good otherwise. */
interface Mutation {
  readonly what: string;
  readonly code: ErrorCode;
  readonly reason: string;
  readonly chain?: () => Promise<readonly TestCertificate[]>;
  readonly tampering?: Tampering;
}

const withNode = (options: Parameters<NodePki['node']>[0]) => async () => [
  await pki.node(options),
  pki.middle,
];
const response = (edit: (body: Record<string, string>) => unknown): Tampering => ({
  response: editJson((message) => {
    const body: Record<string, string> = Object(message['ecdsa_signature']);
    return { ...message, ecdsa_signature: edit(body) };
  }),
});
const bytes = (size: number, octet = 1) => Buffer.alloc(size, octet).toString('base64');
const certificates = (edit: (list: readonly string[]) => unknown): Tampering => ({
  payload: editJson(({ certificates: list }) => ({
    certificates: edit(Array.isArray(list) ? list.map(String) : []),
  })),
});

const mutations: readonly Mutation[] = [
  {
    what: 'attestation data that is no JSON',
    tampering: { payload: () => Buffer.from('{') },
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'cannot be read',
  },
  {
    what: 'attestation data with two lists of certificates',
    tampering: {
      payload: (payload) =>
        Buffer.from(Buffer.from(payload).toString().replace('}', ',"certificates":[]}')),
    },
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'certificates',
  },
  {
    what: 'attestation data of 100 KiB',
    tampering: certificates((list) => [...list, 'A'.repeat(100_000)]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'at most 65536',
  },
  {
    what: 'no certificate',
    tampering: certificates(() => []),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'no list',
  },
  {
    what: 'six certificates',
    tampering: certificates(([leaf = '', middle = '']) => [leaf, ...Array(5).fill(middle)]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: '6 certificates; at most 5',
  },
  {
    what: 'a certificate that is not base64',
    tampering: certificates(([leaf = '', ...rest]) => [`!${leaf}`, ...rest]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'no base64 in certificates[0]',
  },
  {
    what: 'a certificate with something behind it',
    tampering: certificates(([leaf = '', ...rest]) => [
      Buffer.concat([Buffer.from(leaf, 'base64'), Buffer.from([0])]).toString('base64'),
      ...rest,
    ]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'certificates[0]: not a certificate',
  },
  {
    what: 'a leaf that was changed after it was signed',
    tampering: certificates(([leaf = '', ...rest]) => [
      Buffer.from(
        Buffer.from(leaf, 'base64').toString('latin1').replace('node-1', 'node-2'),
        'latin1',
      ).toString('base64'),
      ...rest,
    ]),
    code: 'ERR_X509_SIGNATURE',
    reason: 'not signed by',
  },
  {
    what: 'the certificate of another PKI, under the same names',
    chain: async () => {
      const other = await makeNodePki();
      return [await other.node(), other.middle];
    },
    code: 'ERR_X509_UNTRUSTED',
    reason: 'of the CA bundle issued',
  },
  {
    what: 'a chain without its intermediate',
    chain: async () => [node],
    code: 'ERR_X509_UNTRUSTED',
    reason: 'node-1',
  },
  {
    what: 'an expired certificate',
    chain: withNode({ notAfter: testNow - 1000 }),
    code: 'ERR_X509_EXPIRED',
    reason: 'node-1',
  },
  {
    what: 'a certificate of the future',
    chain: withNode({ notBefore: testNow + HOUR_MS / 2 }),
    code: 'ERR_X509_NOT_YET_VALID',
    reason: 'node-1',
  },
  {
    what: 'a certificate that was not made to sign with',
    chain: withNode({ keyUsage: ['keyEncipherment'] }),
    code: 'ERR_NODE_ATTEST_CERTIFICATE',
    reason: 'lacks digitalSignature',
  },
  {
    what: 'a certificate without key usage',
    chain: withNode({ keyUsage: null }),
    code: 'ERR_NODE_ATTEST_CERTIFICATE',
    reason: 'lacks digitalSignature',
  },
  {
    what: 'an authority in the place of a node',
    chain: withNode({ isCa: true, keyUsage: ['digitalSignature', 'keyCertSign'] }),
    code: 'ERR_NODE_ATTEST_CERTIFICATE',
    reason: 'is a certificate authority',
  },
  {
    what: 'a node in the place of an authority',
    chain: async () => [await pki.node({ issuer: node }), node, pki.middle],
    code: 'ERR_X509_ISSUER_CA',
    reason: 'may not sign',
  },
  {
    what: 'an authority whose key usage is another',
    chain: async () => {
      const middle = await makeAuthority({
        subject: 'CN=crl',
        uris: [],
        issuer: pki.root,
        keyUsage: ['cRLSign'],
      });
      return [await pki.node({ issuer: middle }), middle];
    },
    code: 'ERR_X509_ISSUER_CA',
    reason: 'may not sign',
  },
  {
    what: 'a chain longer than an authority allows',
    chain: async () => {
      const short = await makeAuthority({
        subject: 'CN=short',
        uris: [],
        issuer: pki.root,
        pathLength: 0,
      });
      const below = await makeAuthority({ subject: 'CN=below', uris: [], issuer: short });
      return [await pki.node({ issuer: below }), below, short];
    },
    code: 'ERR_X509_PATH_LENGTH',
    reason: 'allows 0',
  },
  {
    what: 'a critical extension that is not understood',
    chain: async () =>
      withNode({
        extensions: [
          new oracle.Extension('1.3.6.1.4.1.57264.1.8', true, Buffer.from('0c0178', 'hex')),
        ],
      })(),
    code: 'ERR_X509_CRITICAL_EXTENSION',
    reason: '1.3.6.1.4.1.57264.1.8',
  },
  {
    what: 'an RSA key of 1024 bits',
    chain: async () => withNode({ keys: await rsaKeys(1024) })(),
    code: 'ERR_X509_ALGORITHM',
    reason: '1024 bits',
  },
  {
    what: 'an RSA key of 16384 bits (F5)',
    chain: async () => withNode({ keys: await hugeRsaKeys(16_384) })(),
    code: 'ERR_X509_ALGORITHM',
    reason: '16384 bits',
  },
  {
    what: 'an authority with an RSA key of 16384 bits (F5)',
    chain: async () => {
      const keys = await hugeRsaKeys(16_384);
      const middle = await makeAuthority({ subject: 'CN=huge', uris: [], issuer: pki.root, keys });
      const issuer = { ...middle, keys: pki.root.keys };
      return [await pki.node({ issuer, withoutKeyIds: true }), middle];
    },
    code: 'ERR_X509_ALGORITHM',
    reason: '16384 bits',
  },
  {
    what: 'a response that is no JSON',
    tampering: { response: () => Buffer.from('') },
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'cannot be read',
  },
  {
    what: 'a response of 9 KiB',
    tampering: { response: () => Buffer.alloc(9 * 1024, ' ') },
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'at most 8192',
  },
  {
    what: 'a response with nothing in it',
    tampering: { response: editJson(() => ({ rsa_signature: null, ecdsa_signature: null })) },
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'exactly one',
  },
  {
    what: 'a response of both kinds',
    tampering: { response: editJson((message) => ({ ...message, rsa_signature: {} })) },
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'exactly one',
  },
  {
    what: 'a response of the other kind of key',
    tampering: {
      response: editJson(() => ({ rsa_signature: { nonce: bytes(32), signature: bytes(256) } })),
    },
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'the certificate has ec',
  },
  {
    what: 'a nonce of 31 bytes',
    tampering: response((body) => ({ ...body, nonce: bytes(31) })),
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: '31 bytes in nonce',
  },
  {
    what: 'no nonce',
    tampering: response(({ r, s }) => ({ r, s })),
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: 'no base64 in nonce',
  },
  {
    what: 'another nonce than the one that was signed',
    tampering: response((body) => ({ ...body, nonce: bytes(32) })),
    code: 'ERR_NODE_ATTEST_PROOF',
    reason: 'did not sign',
  },
  {
    what: 'the answer to another challenge',
    tampering: {
      challenge: editJson(() => ({ ecdsa_signature: { nonce: bytes(32) } })),
    },
    code: 'ERR_NODE_ATTEST_PROOF',
    reason: 'did not sign',
  },
  {
    what: 'zeros for a signature',
    tampering: response((body) => ({ ...body, r: bytes(32, 0), s: bytes(32, 0) })),
    code: 'ERR_NODE_ATTEST_PROOF',
    reason: 'did not sign',
  },
  {
    what: 'numbers longer than the curve',
    tampering: response((body) => ({ ...body, r: bytes(33) })),
    code: 'ERR_NODE_ATTEST_PROOF',
    reason: 'did not sign',
  },
  {
    what: 'numbers longer than any curve',
    tampering: response((body) => ({ ...body, s: bytes(67) })),
    code: 'ERR_NODE_ATTEST_RESPONSE',
    reason: '67 bytes in s; expected 1 to 66',
  },
];

describe('an exchange', () => {
  it.each(mutations)('is refused for $what', async ({ chain, tampering, code, reason }) => {
    const attestor = attestorOf(pki.root);
    const good = attestationWith([node, pki.middle]);
    await expect(exchange(attestor, good)).resolves.toBeDefined();
    const certificateChain = (await chain?.()) ?? [node, pki.middle];
    const keys = certificateChain[0]?.keys;
    const isUsable = keys?.privateKey.algorithm.name === keys?.publicKey.algorithm.name;
    const payload = certificates(() =>
      certificateChain.map(({ der }) => Buffer.from(der).toString('base64')),
    );
    // A node that could not even begin sends its chain all the same.
    const attestation = isUsable ? attestationWith(certificateChain) : good;
    const attempt = exchange(attestor, attestation, isUsable ? tampering : payload);
    await expect(attempt).rejects.toEqual(refusal(code, reason));
  });

  it('is refused when another key signs', async () => {
    const thief = await makeCertificate({ subject: 'CN=thief' });
    const stolen: Tampering = certificates(() =>
      [node, pki.middle].map(({ der }) => Buffer.from(der).toString('base64')),
    );
    await expect(exchange(attestorOf(pki.root), attestationWith([thief]), stolen)).rejects.toEqual(
      refusal('ERR_NODE_ATTEST_PROOF', 'did not sign'),
    );
  });

  it('asks for nothing before the chain is verified', async () => {
    const asked: Uint8Array[] = [];
    const { payload } = await attestationWith([await makeCertificate()]).begin();
    const attempt = attestorOf(pki.root).attest(payload, async (challenge) => {
      asked.push(challenge);
      return challenge;
    });
    await expect(attempt).rejects.toBeDefined();
    expect(asked).toEqual([]);
  });

  it('never has the same challenge', async () => {
    const asked = new Set<string>();
    const challenge = (bytesOf: Uint8Array) => {
      asked.add(Buffer.from(bytesOf).toString());
      return bytesOf;
    };
    for (let i = 0; i < 5; i++) {
      await exchange(attestorOf(pki.root), attestationWith([node, pki.middle]), { challenge });
    }
    expect(asked.size).toBe(5);
  });
});
