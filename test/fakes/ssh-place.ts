import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import type { NodeAttestation, NodeAttestor } from '../../src/attest/index.ts';
import { createSshPopAttestation, createSshPopAttestor } from '../../src/attest/index.ts';
import { ecCurves, type SshKeyType } from '../../src/attest/node/ssh/ssh-public-key.ts';
import { sshPositive, sshString } from '../../src/attest/node/ssh/ssh-reader.ts';
import { signSsh } from '../../src/attest/node/ssh/ssh-signature.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { FakeClock } from './fake-clock.ts';

/** An SSH key pair with its public key in wire format. */
export interface SshKeys {
  readonly type: SshKeyType;
  readonly privateKey: KeyObject;
  /** What follows the type. */
  readonly fields: Buffer;
  readonly blob: Buffer;
}

const sshNow: number = Date.parse('2026-01-15T12:00:00Z');
const HOUR = 3_600n;
const nowSeconds = BigInt(sshNow / 1_000);

export function makeSshKeys(type: SshKeyType = 'ssh-ed25519', bits: number = 2_048): SshKeys {
  const { publicKey, privateKey } = generate(type, bits);
  const fields = fieldsOf(type, publicKey);
  return { type, privateKey, fields, blob: Buffer.concat([sshString(type), fields]) };
}

function generate(type: SshKeyType, bits: number) {
  if (type === 'ssh-ed25519') return generateKeyPairSync('ed25519');
  if (type === 'ssh-rsa') return generateKeyPairSync('rsa', { modulusLength: bits });
  return generateKeyPairSync('ec', { namedCurve: ecCurves[type].crv });
}

function fieldsOf(type: SshKeyType, key: KeyObject): Buffer {
  const jwk = key.export({ format: 'jwk' });
  const bytes = (text: string | undefined) => Buffer.from(text ?? '', 'base64url');
  if (type === 'ssh-ed25519') return sshString(bytes(jwk.x));
  if (type === 'ssh-rsa') return Buffer.concat([bytes(jwk.e), bytes(jwk.n)].map(sshPositive));
  const point = Buffer.concat([Buffer.of(4), bytes(jwk.x), bytes(jwk.y)]);
  return Buffer.concat([sshString(ecCurves[type].name), sshString(point)]);
}

/** What a certificate says, field by field, so that a test may say anything. */
export interface SshCertificateParts {
  readonly type: string;
  readonly nonce: Buffer;
  readonly keyFields: Buffer;
  readonly serial: bigint;
  readonly kind: number;
  readonly keyId: string | Buffer;
  /** In wire format, as are options and extensions. */
  readonly principals: Buffer;
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  readonly criticalOptions: Buffer;
  readonly extensions: Buffer;
  readonly reserved: Buffer;
  /** Who signs, and who is said to. */
  readonly signer: SshKeys;
  readonly signatureKey: Buffer;
  readonly signatureFormat: string | undefined;
  readonly changeSignature: (blob: Buffer) => Buffer;
  readonly trailer: Buffer;
}

export function stringsOf(...values: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(values.map(sshString));
}

export function certificateParts(keys: SshKeys, authority: SshKeys): SshCertificateParts {
  return {
    type: `${keys.type}-cert-v01@openssh.com`,
    nonce: randomBytes(32),
    keyFields: keys.fields,
    serial: 7n,
    kind: 2,
    keyId: 'host-1',
    principals: stringsOf('host-1.prod.example', 'host-1'),
    validAfter: nowSeconds - HOUR,
    validBefore: nowSeconds + HOUR,
    criticalOptions: Buffer.alloc(0),
    extensions: Buffer.alloc(0),
    reserved: Buffer.alloc(0),
    signer: authority,
    signatureKey: authority.blob,
    signatureFormat: undefined,
    changeSignature: (blob) => blob,
    trailer: Buffer.alloc(0),
  };
}

export function signCertificate(parts: SshCertificateParts): Buffer {
  const body = Buffer.concat([
    stringsOf(parts.type, parts.nonce),
    parts.keyFields,
    uint64(parts.serial),
    uint32(parts.kind),
    stringsOf(parts.keyId, parts.principals),
    uint64(parts.validAfter),
    uint64(parts.validBefore),
    stringsOf(parts.criticalOptions, parts.extensions, parts.reserved, parts.signatureKey),
  ]);
  const { privateKey, type } = parts.signer;
  const { format, blob } = signSsh(privateKey, type, body);
  const value = parts.changeSignature(Buffer.from(blob));
  const signature = stringsOf(parts.signatureFormat ?? format, value);
  return Buffer.concat([body, sshString(signature), parts.trailer]);
}

/** The server's side, for hosts of one authority. */
export function sshAttestor(
  authority: SshKeys,
  options: Partial<Parameters<typeof createSshPopAttestor>[0]> = {},
): NodeAttestor {
  return createSshPopAttestor({
    trustDomain: TrustDomain.parse('a.test'),
    authorities: `${authority.type} ${authority.blob.toString('base64')} host CA\n`,
    clock: new FakeClock(sshNow),
    randomBytes,
    ...options,
  });
}

/** The agent's side. */
export function sshAttestation(certificate: Uint8Array, keys: SshKeys): NodeAttestation {
  const { privateKey } = keys;
  return createSshPopAttestation({
    loadIdentity: async () => ({ certificate, privateKey }),
    randomBytes,
  });
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}
