import { createHash, KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from '../../test/fakes/test-certificates.ts';
import { encodePem, serializeBundleDocument, TrustDomain } from '../spiffe/index.ts';
import { type Bootstrap, fetchBootstrapBundle } from './bootstrap.ts';

const trustDomain = TrustDomain.parse('a.test');
const unusable = (message: string) => ({
  code: 'ERR_NODE_BOOTSTRAP',
  message: expect.stringContaining(message),
});

const pemOf = ({ der }: TestCertificate): string => encodePem('CERTIFICATE', der);

async function fileWith(content: string): Promise<Bootstrap> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bootstrap-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'bundle');
  writeFileSync(file, content);
  return { kind: 'file', path: file };
}

/** An HTTPS endpoint, and the pin of its key. */
async function endpoint(answer: RequestListener) {
  const now = Date.now();
  const certificate = await makeCertificate({
    subject: 'CN=localhost',
    uris: [],
    notBefore: now - 60_000,
    notAfter: now + 60_000,
  });
  const key = KeyObject.from(certificate.keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  const server = createServer({ cert: pemOf(certificate), key }, answer);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const spki = KeyObject.from(certificate.keys.publicKey).export({ type: 'spki', format: 'der' });
  const pin = createHash('sha256').update(spki).digest('hex');
  return { url: `https://127.0.0.1:${port}/bundle`, pin };
}

describe('a bundle in a file', () => {
  it('is PEM, or a SPIFFE bundle document', async () => {
    const [one, other] = [await makeAuthority(), await makeAuthority()];
    const pem = await fileWith(pemOf(one) + pemOf(other));
    const found = await fetchBootstrapBundle(pem, trustDomain);
    expect(found?.x509Authorities).toHaveLength(2);
    const document = await fileWith(serializeBundleDocument(bundleOf('a.test', one)));
    const bundle = await fetchBootstrapBundle(document, trustDomain);
    expect(bundle?.x509Authorities).toHaveLength(1);
  });

  it.each([
    ['', 'no certificate'],
    ['{"keys":[]}', 'no X.509 authority'],
    ['{"keys":', 'cannot be used'],
    ['-----BEGIN CERTIFICATE-----\n', 'cannot be used'],
  ])('is refused when it is %j', async (content, why) => {
    const file = await fileWith(content);
    await expect(fetchBootstrapBundle(file, trustDomain)).rejects.toMatchObject(unusable(why));
  });

  it('is refused when it is not there, or of nodes', async () => {
    const missing = { kind: 'file', path: '/nowhere/bundle.pem' } as const;
    await expect(fetchBootstrapBundle(missing, trustDomain)).rejects.toMatchObject(
      unusable('no such file'),
    );
    const leaf = await fileWith(pemOf(await makeCertificate()));
    await expect(fetchBootstrapBundle(leaf, trustDomain)).rejects.toMatchObject(unusable('bundle'));
  });
});

describe('a bundle at a URL', () => {
  it('is taken from who has the pinned key, and from nobody else', async () => {
    const authority = await makeAuthority();
    const asked: string[] = [];
    const { url, pin } = await endpoint((request, response) => {
      asked.push(request.url ?? '');
      response.end(pemOf(authority));
    });
    const at = (publicKeySha256: string | undefined): Bootstrap => ({
      kind: 'url',
      url,
      publicKeySha256,
    });
    expect((await fetchBootstrapBundle(at(pin), trustDomain))?.x509Authorities).toHaveLength(1);
    const wrong = fetchBootstrapBundle(at('ab'.repeat(32)), trustDomain);
    await expect(wrong).rejects.toMatchObject(unusable('not the pinned one'));
    const publicly = fetchBootstrapBundle(at(undefined), trustDomain);
    await expect(publicly).rejects.toMatchObject(unusable('certificate'));
    expect(asked).toEqual(['/bundle']);
  });

  it('is not one that is too large, moved or missing', async () => {
    const huge = await endpoint((_, response) => response.end(Buffer.alloc(5_000_000, 'x')));
    const moved = await endpoint((_, response) => {
      response.writeHead(302, { location: 'https://elsewhere.test/' }).end();
    });
    const cases = [
      [huge, 'more than 4194304 bytes'],
      [moved, 'status 302'],
    ] as const;
    for (const [{ url, pin }, why] of cases) {
      const attempt = fetchBootstrapBundle({ kind: 'url', url, publicKeySha256: pin }, trustDomain);
      await expect(attempt).rejects.toMatchObject(unusable(why));
    }
  });
});

it('is none where anybody is believed', async () => {
  expect(await fetchBootstrapBundle({ kind: 'insecure' }, trustDomain)).toBeUndefined();
});
