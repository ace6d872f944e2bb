import { createHash, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ecKeys,
  makeAuthority,
  rsaKeys,
  type TestCertificate,
} from '../../../test/fakes/test-certificates.ts';
import {
  attestationWith,
  attestorOf,
  editJson,
  exchange,
  makeNodePki,
  type NodePki,
} from '../../../test/fakes/x509pop-place.ts';
import { type ErrorCode, formatSelector, parseCertificate } from '../../spiffe/index.ts';
import { otherCertificate } from './other-signature.ts';

const refusal = (code: ErrorCode, message: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(message) });
const sha1 = ({ der }: TestCertificate) => createHash('sha1').update(der).digest('hex');

let pki: NodePki;
let node: TestCertificate;
beforeAll(async () => {
  pki = await makeNodePki();
  node = await pki.node();
});

async function selectorsOf(certificate: TestCertificate): Promise<readonly string[]> {
  const chain = [certificate, pki.middle];
  return (await exchange(attestorOf(pki.root), attestationWith(chain))).selectors.map(
    formatSelector,
  );
}

describe('a certificate of an ECDSA authority', () => {
  it.each(['P-256', 'P-384', 'P-521'])('of %s has two forms, which are twins', async (curve) => {
    const root = await makeAuthority({ subject: 'CN=root', uris: [], keys: await ecKeys(curve) });
    // Numbers of a signature are shorter, or have a leading zero, now and then.
    for (let i = 0; i < 40; i++) {
      const certificate = await pki.node({ issuer: root });
      const forged = otherCertificate(
        parseCertificate(certificate.der),
        parseCertificate(root.der),
      );
      const twin = { ...certificate, der: forged ?? new Uint8Array() };
      const [attested, again] = [
        await exchange(attestorOf(root), attestationWith([certificate])),
        await exchange(attestorOf(root), attestationWith([twin])),
      ];
      expect(again.agentPath).not.toBe(attested.agentPath);
      expect([again.agentPath, again.twinPath]).toEqual([attested.twinPath, attested.agentPath]);
    }
  });

  it('is one agent where its ID is not of all bytes', async () => {
    const agentPathTemplate = '/x509pop/{{ .Subject.CommonName }}';
    const attestor = attestorOf(pki.root, { agentPathTemplate });
    const attested = await exchange(attestor, attestationWith([node, pki.middle]));
    expect(attested).not.toHaveProperty('twinPath');
  });
});

describe('a node with a certificate of a known authority', () => {
  it('proves itself, and gets the ID and the selectors that SPIRE gives', async () => {
    const attested = await exchange(attestorOf(pki.root), attestationWith([node, pki.middle]));
    expect(attested.agentPath).toBe(`/spire/agent/x509pop/${sha1(node)}`);
    expect(attested.canReattest).toBe(true);
    expect(attested.selectors.map(formatSelector)).toEqual([
      'x509pop:subject:cn:node-1',
      `x509pop:ca:fingerprint:${sha1(pki.middle)}`,
      `x509pop:ca:fingerprint:${sha1(pki.root)}`,
      `x509pop:serialnumber:${new X509Certificate(node.der).serialNumber.toLowerCase()}`,
    ]);
  });

  it.each([
    ['EC P-256', () => ecKeys()],
    ['EC P-384', () => ecKeys('P-384')],
    ['EC P-521', () => ecKeys('P-521')],
    ['RSA 2048', () => rsaKeys(2048)],
    ['RSA 3072', () => rsaKeys(3072)],
  ])('proves itself with %s, over and over', async (_, makeKeys) => {
    const certificate = await pki.node({ keys: await makeKeys() });
    const attestation = attestationWith([certificate, pki.middle]);
    // Numbers of a signature are shorter than the curve once in 128 times.
    for (let i = 0; i < 300; i++) {
      const attested = await exchange(attestorOf(pki.root), attestation);
      expect(attested.agentPath).toContain(sha1(certificate));
    }
  });

  it('may send the root too, and needs no more than the root knows', async () => {
    const direct = await pki.node({ issuer: pki.root });
    for (const chain of [[node, pki.middle, pki.root], [direct]]) {
      await expect(exchange(attestorOf(pki.root), attestationWith(chain))).resolves.toBeDefined();
    }
    const both = attestorOf(pki.root, { authorities: [pki.root.der, pki.middle.der] });
    await expect(exchange(both, attestationWith([node]))).resolves.toBeDefined();
  });

  it('shows selectors of no certificate that was not verified', async () => {
    const stranger = await makeAuthority({ subject: 'CN=stranger', uris: [] });
    const attestation = attestationWith([node, pki.middle, stranger]);
    const { selectors } = await exchange(attestorOf(pki.root), attestation);
    expect(selectors.map(formatSelector).join()).not.toContain(sha1(stranger));
  });

  it('accepts authorities without key usage, as OpenSSL makes them by default', async () => {
    const root = await makeAuthority({ subject: 'CN=plain', uris: [], keyUsage: null });
    const leaf = await pki.node({ issuer: root });
    await expect(exchange(attestorOf(root), attestationWith([leaf]))).resolves.toBeDefined();
  });
});

describe('names in the certificate', () => {
  it('make SAN selectors where they are URIs of x509pop in this trust domain', async () => {
    const uris = [
      'x509pop://a.test/region/eu-west',
      'x509pop://a.test/rack/7/left',
      'x509pop://a.test/role/web%20server/',
      'x509pop://b.test/region/other',
      'spiffe://a.test/region/none',
    ];
    expect(
      (await selectorsOf(await pki.node({ uris }))).filter((text) => /:san:/u.test(text)),
    ).toEqual([
      'x509pop:san:region:eu-west',
      'x509pop:san:rack:7/left',
      'x509pop:san:role:web server',
    ]);
  });

  it('make none where they are incomplete, ambiguous or unprintable', async () => {
    const uris = [
      'x509pop://a.test/',
      'x509pop://a.test/region',
      'x509pop://a.test/region/',
      'x509pop://a.test/with:colon/x',
      'x509pop://a.test/query/x?y',
      'x509pop://a.test/fragment/x#y',
      'x509pop://a.test/broken/%zz',
      'x509pop://a.test/line/a%0ab',
      'x509pop://a.test/twice/1',
      'x509pop://a.test/twice/2',
      'x509pop://a.test/good/1',
    ];
    const selectors = await selectorsOf(await pki.node({ uris }));
    expect(selectors.filter((text) => text.includes(':san:'))).toEqual(['x509pop:san:good:1']);
  });

  it('make no selector without common name', async () => {
    const selectors = await selectorsOf(await pki.node({ subject: 'O=nobody' }));
    expect(selectors.join()).not.toContain('subject:cn');
  });

  it('are the common name as it stands there, special characters and all', async () => {
    const selectors = await selectorsOf(await pki.node({ subject: 'CN=node\\, one+two' }));
    expect(selectors[0]).toMatch(/^x509pop:subject:cn:node/u);
    expect(selectors[0]).not.toContain('\\');
  });
});

describe('a template for agent IDs', () => {
  const pathWith = async (agentPathTemplate: string, certificate: TestCertificate) => {
    const attestor = attestorOf(pki.root, { agentPathTemplate });
    return (await exchange(attestor, attestationWith([certificate, pki.middle]))).agentPath;
  };

  it('has the variables of SPIRE', async () => {
    const named = await pki.node({ serialNumber: '0a0b', uris: ['x509pop://a.test/region/eu'] });
    expect(
      await pathWith(
        '/{{ .PluginName }}/{{ .TrustDomain }}/{{.Subject.CommonName}}/{{ .URISanSelectors.region }}-{{ .SerialNumberHex }}',
        named,
      ),
    ).toBe('/spire/agent/x509pop/a.test/node-1/eu-0a0b');
  });

  it.each([
    ['CN=../../server', '".", "_", "-"'],
    ['CN=a/b', 'got "a/b"'],
    ['CN=a b', 'got "a b"'],
    ['CN=..', 'has the segment ".."'],
    ['O=none', 'got nothing'],
  ])('makes no ID of the subject %s', async (subject, reason) => {
    const certificate = await pki.node({ subject });
    await expect(pathWith('/x509pop/{{ .Subject.CommonName }}', certificate)).rejects.toEqual(
      refusal('ERR_NODE_ATTEST_PATH', reason),
    );
  });
});

describe('an attestor', () => {
  it('refuses a CA bundle that is empty, damaged, or of others than authorities', async () => {
    const create = (...authorities: readonly Uint8Array[]) => attestorOf(node, { authorities });
    const code = 'ERR_NODE_ATTEST_AUTHORITIES';
    expect(() => create()).toThrow(refusal(code, 'empty'));
    expect(() => create(pki.root.der, Buffer.from('x'))).toThrow(refusal(code, 'certificate 2'));
    expect(() => create(node.der)).toThrow(refusal(code, 'no certificate authority'));
  });
});

const bytes = (size: number) => Buffer.alloc(size, 1).toString('base64');

describe('the agent', () => {
  const identity = 'ERR_NODE_ATTEST_IDENTITY';

  it('says when its certificate and key do not go together, or are no use', async () => {
    const other = attestationWith([node], await ecKeys());
    await expect(other.begin()).rejects.toEqual(refusal(identity, 'the private key is of another'));
    const damaged = attestationWith([{ ...node, der: Buffer.from('x') }]);
    await expect(damaged.begin()).rejects.toEqual(refusal(identity, 'not a certificate'));
  });

  it.each([
    [editJson(() => ({ rsa_signature: { nonce: bytes(32) } })), 'of the kind ec'],
    [editJson(() => ({ ecdsa_signature: { nonce: bytes(16) } })), '16 bytes in nonce'],
    [editJson(() => ({ ecdsa_signature: [] })), 'no object'],
    [editJson(() => []), 'no JSON object'],
    [() => Buffer.from('nonsense'), 'cannot be read'],
  ] as const)('signs nothing that is no challenge for it (%#)', async (challenge, reason) => {
    const attestation = attestationWith([node, pki.middle]);
    await expect(exchange(attestorOf(pki.root), attestation, { challenge })).rejects.toEqual(
      refusal('ERR_NODE_ATTEST_CHALLENGE', reason),
    );
  });
});
