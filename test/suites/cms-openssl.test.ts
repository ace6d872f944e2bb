import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { isSignedByOne, parseSignedData } from '../../src/attest/node/cloud/signed-data.ts';
import { runProgram } from '../programs/run-program.ts';

const content = `{"accountId":"123456789012","padding":"${'x'.repeat(9_000)}"}`;

/** A key, its certificate, and what OpenSSL answers in that folder. */
async function place() {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-cms-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const at = (name: string): string => path.join(folder, name);
  const openssl = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await runProgram('openssl', args);
    if (code !== 0) throw new Error(stderr);
  };
  const made = ['-keyout', at('key.pem'), '-out', at('cert.pem'), '-subj', '/CN=aws', '-nodes'];
  await openssl('req', '-x509', '-newkey', 'rsa:2048', '-days', '2', ...made);
  writeFileSync(at('content'), content);
  return { at, openssl, certificate: new X509Certificate(readFileSync(at('cert.pem'))) };
}

it.each([
  ['in DER', []],
  ['as it streams, in BER', ['-stream']],
  ['without certificates', ['-nocerts']],
  ['by key identifier', ['-keyid']],
  ['without attributes', ['-noattr']],
])('reads what OpenSSL signs %s, and verifies it', async (_, flags) => {
  const { at, openssl, certificate } = await place();
  const signer = ['-signer', at('cert.pem'), '-inkey', at('key.pem')];
  const files = ['-in', at('content'), '-out', at('message'), '-outform', 'DER'];
  await openssl(
    'cms',
    '-sign',
    '-binary',
    '-nodetach',
    '-md',
    'sha256',
    ...signer,
    ...files,
    ...flags,
  );
  const message = parseSignedData(readFileSync(at('message')));
  expect(Buffer.from(message.content).toString()).toBe(content);
  expect(isSignedByOne(message, [certificate.publicKey])).toBe(true);
});
