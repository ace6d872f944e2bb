import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import {
  certificateParts,
  makeSshKeys,
  type SshCertificateParts,
  signCertificate,
  sshAttestation,
  sshAttestor,
  stringsOf,
} from '../../../../test/fakes/ssh-place.ts';
import { editJson, exchange, type Tampering } from '../../../../test/fakes/x509pop-place.ts';
import {
  type DocumentMutation,
  describeMutations,
} from '../../../../test/suites/node-attestor-mutations.ts';
import type { ErrorCode } from '../../../spiffe/index.ts';
import { createSshPopAttestation, loadSshHostIdentity } from '../../index.ts';
import { otherNumber } from '../other-signature.ts';
import { parseSshCertificate } from './ssh-certificate.ts';
import { ecCurves, type SshKeyType, sshKeyTypes } from './ssh-public-key.ts';
import { SshReader, sshPositive, sshString } from './ssh-reader.ts';

const fixtures = new URL('../../../../test/fixtures/ssh/', import.meta.url).pathname;
const authority = makeSshKeys();
const host = makeSshKeys();
const valid = () => signCertificate(certificateParts(host, authority));

/** A certificate by its parts, and what is changed on the way. */
interface Exchange {
  readonly parts: SshCertificateParts;
  readonly tampering: Tampering;
}

type Mutation = DocumentMutation<Exchange>;

/** A certificate that says something else, rightly signed. */
function says(
  what: string,
  reason: string,
  change: Partial<SshCertificateParts>,
  code: ErrorCode = 'ERR_NODE_ATTEST_PAYLOAD',
): Mutation {
  const mutate = (document: Exchange) => ({
    ...document,
    parts: { ...document.parts, ...change },
  });
  return { what, code, reason, mutate };
}

function tampers(what: string, code: ErrorCode, reason: string, tampering: Tampering): Mutation {
  return { what, code, reason, mutate: (document) => ({ ...document, tampering }) };
}

const unfit = 'ERR_NODE_ATTEST_CERTIFICATE';
const response = (edit: (message: Record<string, unknown>) => unknown): Tampering => ({
  response: editJson(edit),
});
const signature = (edit: (body: Record<string, unknown>) => unknown): Tampering =>
  response((message) => ({ ...message, Signature: edit(Object(message['Signature'])) }));
const base64 = (size: number) => Buffer.alloc(size, 1).toString('base64');
const other = makeSshKeys('ecdsa-sha2-nistp256');
const signers = sshKeyTypes.map((type) => makeSshKeys(type));
const small = makeSshKeys('ssh-rsa', 1_024);
const rsa = makeSshKeys('ssh-rsa');
const seconds = (text: string) => BigInt(Date.parse(text) / 1_000);
const longPrincipals = Array.from({ length: 65 }, (_, at) => `h${at}`);

const mutations: readonly Mutation[] = [
  says('a certificate of a user', 'of a user', { kind: 1 }, unfit),
  says('a kind of certificate that is not there', 'its kind is 3', { kind: 3 }),
  says(
    'another authority',
    'not known: SHA256:',
    { signer: other, signatureKey: other.blob },
    unfit,
  ),
  says("another's signature for the authority's", 'not of that key', { signer: host }, unfit),
  says(
    'a signature of another kind than the key',
    'its key ssh-ed25519',
    { signatureFormat: 'rsa-sha2-512' },
    unfit,
  ),
  says('a signature with SHA-1', 'which is not accepted', { signatureFormat: 'ssh-rsa' }, unfit),
  says(
    'a validity that is over',
    'was valid until',
    { validBefore: seconds('2026-01-15T12:00:00Z') },
    unfit,
  ),
  says(
    'a validity to come',
    'only from second',
    { validAfter: seconds('2026-01-15T12:00:01Z') },
    unfit,
  ),
  says('no principals', 'no principals', { principals: Buffer.alloc(0) }, unfit),
  says('an empty principal', 'a principal is empty', { principals: stringsOf('') }),
  says('65 principals', 'over 64', { principals: stringsOf(...longPrincipals) }),
  says('a principal cut short', 'a principal is cut short', {
    principals: Buffer.concat([stringsOf('a'), Buffer.from([0, 0, 0, 9])]),
  }),
  says(
    'another domain',
    'not below prod.example',
    { principals: stringsOf('h.prod.example.evil.test') },
    unfit,
  ),
  says(
    'a principal that would leave its segment',
    'the ID of the agent needs Hostname',
    { principals: stringsOf('../../server.prod.example') },
    'ERR_NODE_ATTEST_PATH',
  ),
  says(
    'a critical option',
    'critical option "force-command"',
    {
      criticalOptions: stringsOf('force-command', stringsOf('true')),
    },
    unfit,
  ),
  says('an option twice', 'not in order', { extensions: stringsOf('a', '', 'a', '') }),
  says('options of 9 KiB', 'claims', { extensions: stringsOf('a', Buffer.alloc(9_000)) }),
  says('something reserved', 'what is reserved claims', { reserved: Buffer.from('x') }),
  says('a nonce of 8 bytes', 'its nonce has 8 bytes', { nonce: Buffer.alloc(8) }),
  says('a key ID that is not UTF-8', 'its key ID is not UTF-8', { keyId: Buffer.from([0xff]) }),
  says('a kind of key that is not known', 'no certificate of a known kind', {
    type: 'ssh-dss-cert-v01@openssh.com',
  }),
  says('a key of another kind than its type', 'its key claims', {
    type: 'ssh-ed25519-cert-v01@openssh.com',
    keyFields: rsa.fields.subarray(7),
  }),
  says('an RSA key of 1024 bits', 'has 1024 bits', {
    type: 'ssh-rsa-cert-v01@openssh.com',
    keyFields: small.fields,
  }),
  says('an authority with an RSA key of 1024 bits', 'the key of its authority has 1024', {
    signatureKey: small.blob,
  }),
  says('a certificate for an authority', 'the key of its authority is of a kind', {
    signatureKey: stringsOf('ssh-ed25519-cert-v01@openssh.com'),
  }),
  says('bytes behind its end', 'bytes follow its end', { trailer: Buffer.from('x') }),
  says('17 KiB', '17', { trailer: Buffer.alloc(17_000) }),
  tampers('no JSON', 'ERR_NODE_ATTEST_PAYLOAD', 'cannot be read', {
    payload: () => Buffer.from('x'),
  }),
  tampers('the certificate twice', 'ERR_NODE_ATTEST_PAYLOAD', 'duplicate member', {
    payload: (bytes) =>
      Buffer.from(Buffer.from(bytes).toString().replace('{', '{"Certificate":"AAAA",')),
  }),
  tampers('no certificate', 'ERR_NODE_ATTEST_PAYLOAD', 'no base64 in Certificate', {
    payload: editJson(() => ({ certificate: 'AAAA' })),
  }),
  tampers('40 KiB', 'ERR_NODE_ATTEST_PAYLOAD', 'at most 32768', {
    payload: () => Buffer.alloc(40_960, 32),
  }),
  tampers('the answer to another challenge', 'ERR_NODE_ATTEST_PROOF', 'not of that key', {
    challenge: editJson(() => ({ Nonce: base64(32) })),
  }),
  {
    ...tampers(
      'another nonce of the host',
      'ERR_NODE_ATTEST_PROOF',
      'not of that key',
      response((message) => ({ ...message, Nonce: base64(32) })),
    ),
    sameReasonAs: 'the answer to another challenge',
  },
  tampers(
    'a proof of another kind of key',
    'ERR_NODE_ATTEST_PROOF',
    'its key ssh-ed25519',
    signature((body) => ({ ...body, Format: 'rsa-sha2-256' })),
  ),
  tampers(
    'a proof of a kind that is not known',
    'ERR_NODE_ATTEST_PROOF',
    'which is not accepted',
    signature((body) => ({ ...body, Format: 'none' })),
  ),
  tampers(
    'a proof with something more',
    'ERR_NODE_ATTEST_RESPONSE',
    'something in Rest',
    signature((body) => ({ ...body, Rest: 'AAAA' })),
  ),
  tampers(
    'an empty proof',
    'ERR_NODE_ATTEST_RESPONSE',
    '0 bytes in Blob',
    signature((body) => ({ ...body, Blob: '' })),
  ),
  tampers(
    'no proof',
    'ERR_NODE_ATTEST_RESPONSE',
    'no object in Signature',
    response(({ Nonce }) => ({ Nonce })),
  ),
  tampers(
    'a nonce of 31 bytes',
    'ERR_NODE_ATTEST_RESPONSE',
    '31 bytes in Nonce',
    response((message) => ({ ...message, Nonce: base64(31) })),
  ),
];

const template = { agentPathTemplate: '/sshpop/{{ .Hostname }}', canonicalDomain: 'prod.example' };

describeMutations<Exchange>(
  'sshpop',
  async () => ({
    document: { parts: certificateParts(host, authority), tampering: {} },
    // The host itself sends what it has, malformed or not.
    attest: async ({ parts, tampering }) => {
      const payload = editJson(() => ({
        Certificate: signCertificate(parts).toString('base64'),
      }));
      const { payload: change = payload, ...later } = tampering;
      return await exchange(sshAttestor(authority, template), sshAttestation(valid(), host), {
        payload: change,
        ...later,
      });
    },
  }),
  mutations,
);

/** As whoever sees the certificate can make it. */
function withOtherSignature(certificate: Buffer, type: SshKeyType): Buffer {
  const { signed, signature } = parseSshCertificate(certificate);
  if (type === 'ssh-ed25519' || type === 'ssh-rsa') throw new Error(type);
  const { bytes, crv } = ecCurves[type];
  const reader = new SshReader(signature.blob, 'a signature');
  const r = sshPositive(reader.positive('r', bytes));
  const s = sshPositive(otherNumber(reader.positive('s', bytes), crv));
  return Buffer.concat([signed, sshString(stringsOf(signature.format, Buffer.concat([r, s])))]);
}

describe('a host with a certificate of a known authority', () => {
  it.each(sshKeyTypes)('proves itself with %s, of authorities of each kind', async (type) => {
    const keys = makeSshKeys(type);
    for (const signer of signers) {
      const certificate = signCertificate(certificateParts(keys, signer));
      const attested = await exchange(sshAttestor(signer), sshAttestation(certificate, keys));
      const fingerprint = createHash('sha256').update(certificate).digest('base64url');
      expect(attested).toMatchObject({
        agentPath: `/spire/agent/sshpop/${fingerprint}`,
        selectors: [],
        canReattest: true,
      });
      expect('twinPath' in attested).toBe(signer.type.startsWith('ecdsa'));
    }
  });

  it.each(sshKeyTypes.filter((type) => type.startsWith('ecdsa')))(
    'has two forms where its authority signs with %s, which are twins',
    async (type) => {
      const signer = makeSshKeys(type);
      for (let i = 0; i < 40; i++) {
        const parts = certificateParts(host, signer);
        const certificate = signCertificate(parts);
        const forged = withOtherSignature(certificate, type);
        const [attested, again] = [
          await exchange(sshAttestor(signer), sshAttestation(certificate, host)),
          await exchange(sshAttestor(signer), sshAttestation(forged, host)),
        ];
        expect(again.agentPath).not.toBe(attested.agentPath);
        expect([again.agentPath, again.twinPath]).toEqual([attested.twinPath, attested.agentPath]);
      }
    },
  );

  it('never fails for numbers that are shorter than the curve', async () => {
    const keys = makeSshKeys('ecdsa-sha2-nistp256');
    const certificate = signCertificate(certificateParts(keys, authority));
    for (let i = 0; i < 200; i++)
      await expect(
        exchange(sshAttestor(authority), sshAttestation(certificate, keys)),
      ).resolves.toBeDefined();
  });

  it('has an ID of its name below the domain, its key ID, its serial number', async () => {
    const pathWith = async (agentPathTemplate: string, canonicalDomain?: string) => {
      const attestor = sshAttestor(authority, { agentPathTemplate, canonicalDomain });
      return (await exchange(attestor, sshAttestation(valid(), host))).agentPath;
    };
    expect(await pathWith('/sshpop/{{ .Hostname }}', 'prod.example')).toBe(
      '/spire/agent/sshpop/host-1',
    );
    expect(await pathWith('/sshpop/{{ .Hostname }}')).toMatch(/host-1\.prod\.example$/u);
    expect(await pathWith('/sshpop/{{ .KeyId }}/{{ .Serial }}')).toMatch(/host-1\/7$/u);
  });

  it('may be valid for ever', async () => {
    const parts = {
      ...certificateParts(host, authority),
      validAfter: 0n,
      validBefore: 2n ** 64n - 1n,
    };
    const attestation = sshAttestation(signCertificate(parts), host);
    await expect(exchange(sshAttestor(authority), attestation)).resolves.toBeDefined();
  });

  it('asks for nothing before the certificate is verified', async () => {
    const attestation = sshAttestation(signCertificate(certificateParts(host, other)), host);
    let asked = 0;
    const challenge = (bytes: Uint8Array) => {
      asked += 1;
      return bytes;
    };
    await expect(
      exchange(sshAttestor(authority), attestation, { challenge }),
    ).rejects.toBeDefined();
    expect(asked).toBe(0);
  });
});

describe('what ssh-keygen made', () => {
  it.each([
    ['host_ed25519', 'host_ed25519', 'ca'],
    ['host_ecdsa', 'host_ecdsa', 'ca'],
    ['host_rsa', 'host_rsa', 'ca'],
    ['host_by_rsa', 'host_ed25519', 'ca_rsa'],
  ])('proves %s', async (name, key, ca) => {
    const files = {
      certificatePath: `${fixtures}${name}-cert.pub`,
      privateKeyPath: `${fixtures}${key}`,
    };
    const attestation = createSshPopAttestation({
      loadIdentity: () => loadSshHostIdentity(files),
      randomBytes: (size) => new Uint8Array(size),
    });
    const authorities = await readFile(`${fixtures}${ca}.pub`, 'utf8');
    await expect(
      exchange(sshAttestor(authority, { authorities }), attestation),
    ).resolves.toMatchObject({ canReattest: true });
  });
});

describe('the authorities', () => {
  const line = `${authority.type} ${authority.blob.toString('base64')}`;
  it.each([
    ['none', '# nobody\n\n', 'it holds no key'],
    ['a key that is cut', line.slice(0, -8), 'line 1'],
    ['options', `cert-authority ${line}`, 'line 1'],
    ['another type than it says', line.replace('ssh-ed25519', 'ssh-rsa'), 'is ssh-ed25519'],
    ['a weak key', `${line}\nssh-rsa ${small.blob.toString('base64')}`, 'line 2: the key has 1024'],
  ])('are refused for %s', (_, authorities, message) => {
    expect(() => sshAttestor(authority, { authorities })).toThrow(
      expect.objectContaining({
        code: 'ERR_NODE_ATTEST_AUTHORITIES',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('may be several, with comments', async () => {
    const authorities = `# ours\r\n\r\n${other.type} ${other.blob.toString('base64')}\r\n${line} a comment\r\n`;
    const attestor = sshAttestor(authority, { authorities });
    await expect(exchange(attestor, sshAttestation(valid(), host))).resolves.toBeDefined();
  });
});

describe('the agent', () => {
  const code = 'ERR_NODE_ATTEST_IDENTITY';

  it('says what is wrong with its files', async () => {
    const load = (certificate: string, key: string) =>
      loadSshHostIdentity({
        certificatePath: fixtures + certificate,
        privateKeyPath: fixtures + key,
      });
    const says = (message: string) => ({ code, message: expect.stringContaining(message) });
    await expect(load('none', 'host_rsa')).rejects.toMatchObject(says('does not exist'));
    await expect(load('host_rsa', 'host_rsa')).rejects.toMatchObject(says('no certificate'));
    await expect(load('ca.pub', 'ca.pub')).rejects.toMatchObject(says('ca.pub cannot be used'));
  });

  it('does not begin with the key of another, or a certificate that is none', async () => {
    await expect(sshAttestation(valid(), other).begin()).rejects.toMatchObject({ code });
    await expect(sshAttestation(authority.blob, host).begin()).rejects.toMatchObject({ code });
  });

  it.each([
    [() => Buffer.from('x'), 'cannot be read'],
    [editJson(() => ({ Nonce: base64(16) })), '16 bytes in Nonce'],
  ] as const)('signs nothing that is no challenge (%#)', async (challenge, message) => {
    const attestation = sshAttestation(valid(), host);
    await expect(
      exchange(sshAttestor(authority), attestation, { challenge }),
    ).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CHALLENGE',
      message: expect.stringContaining(message),
    });
  });
});
