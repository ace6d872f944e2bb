import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAuthorizedKeys } from '../../src/attest/node/ssh/authorized-keys.ts';
import { parseSshCertificate } from '../../src/attest/node/ssh/ssh-certificate.ts';
import { parseSshPrivateKey } from '../../src/attest/node/ssh/ssh-private-key.ts';
import { findSignatureFault } from '../../src/attest/node/ssh/ssh-signature.ts';
import { parsePayload, parseResponse } from '../../src/attest/node/ssh/sshpop-messages.ts';
import { messageOf } from '../../src/spiffe/index.ts';
import { certificateParts, makeSshKeys, signCertificate, stringsOf } from '../fakes/ssh-place.ts';

const authority = makeSshKeys();
const parts = certificateParts(makeSshKeys(), authority);
const valid = signCertificate(parts);

/** Undefined where it is refused, in words of a reader. */
function parsed(bytes: Uint8Array) {
  try {
    return parseSshCertificate(bytes);
  } catch (error) {
    if (/certificate|key|principals|options/u.test(messageOf(error))) return undefined;
    throw error;
  }
}

describe('SSH certificates', () => {
  it('are refused, or not signed, with any byte changed', () => {
    for (let at = 0; at < valid.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(valid);
        changed[at] = (changed[at] ?? 0) ^ change;
        const certificate = parsed(changed);
        if (certificate === undefined) continue;
        const { signatureKey, signed, signature } = certificate;
        expect(findSignatureFault(signatureKey, signed, signature)).toBeDefined();
      }
    }
  });

  it('are refused when cut or longer', () => {
    for (let length = 0; length < valid.length; length++)
      expect(parsed(valid.subarray(0, length))).toBeUndefined();
    expect(parsed(Buffer.concat([valid, Buffer.of(0)]))).toBeUndefined();
  });

  it('are read or refused, whatever is in them', () => {
    const octets = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const list = fc.array(octets, { maxLength: 6 }).map((items) => stringsOf(...items));
    const field = fc.oneof(octets, list);
    fc.assert(
      fc.property(
        field,
        field,
        field,
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        (principals, criticalOptions, keyFields, serial, kind) => {
          const changes = { principals, criticalOptions, serial, kind };
          for (const also of [{ kind: kind % 4 }, { keyFields }]) {
            const read = parsed(signCertificate({ ...parts, ...changes, ...also }));
            expect(['user', 'host', 'none']).toContain(read?.kind ?? 'none');
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('are read or refused, whatever they are', () => {
    const type = stringsOf('ssh-rsa-cert-v01@openssh.com');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(parsed(bytes)).toBeUndefined();
        expect(parsed(Buffer.concat([type, bytes]))).toBeUndefined();
      }),
      { numRuns: 1_000 },
    );
  });
});

it('reads or refuses texts of keys and messages, whatever they are', () => {
  const base64 = fc
    .uint8Array({ maxLength: 200 })
    .map((bytes) => Buffer.from(bytes).toString('base64'));
  fc.assert(
    fc.property(base64, fc.string(), (encoded, text) => {
      const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${encoded}\n-----END OPENSSH PRIVATE KEY-----\n`;
      const attempts = [
        () => parseAuthorizedKeys(`ssh-ed25519 ${encoded}\n${text}`),
        () => parseSshPrivateKey(pem),
        () => parsePayload(Buffer.from(text)),
        () => parseResponse(Buffer.from(JSON.stringify({ Nonce: encoded, Signature: text }))),
      ];
      for (const attempt of attempts) expect(attempt).toThrow(Error);
    }),
    { numRuns: 300 },
  );
});
