import { KeyObject, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { attestorOf, exchange, makeNodePki } from '../../../test/fakes/x509pop-place.ts';
import { encodePem } from '../../spiffe/index.ts';
import { createX509PopAttestation, loadX509PopIdentity } from '../index.ts';

async function filesOf(contents: Readonly<Record<string, string>>) {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-x509pop-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(contents)) await writeFile(join(folder, name), text);
  return {
    certificatePath: join(folder, 'node.pem'),
    privateKeyPath: join(folder, 'key.pem'),
    intermediatesPath: join(folder, 'middle.pem'),
  };
}

it('loads certificate, key and intermediates at each attestation', async () => {
  const { root, middle, node } = await makeNodePki();
  const leaf = await node();
  const pem = (der: Uint8Array) => encodePem('CERTIFICATE', der);
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  const files = await filesOf({
    'node.pem': pem(leaf.der),
    'key.pem': KeyObject.from(leaf.keys.privateKey).export(pkcs8).toString(),
    'middle.pem': pem(middle.der),
  });
  const loadIdentity = () => loadX509PopIdentity(files);
  const attestation = createX509PopAttestation({ loadIdentity, randomBytes });
  await expect(exchange(attestorOf(root), attestation)).resolves.toBeDefined();
  const { intermediatesPath: _, ...two } = files;
  await writeFile(two.certificatePath, pem(leaf.der) + pem(middle.der));
  expect((await loadX509PopIdentity(two)).certificateChain).toHaveLength(2);
});

it('says which file is missing, empty or no use', async () => {
  const files = await filesOf({ 'node.pem': '', 'key.pem': '', 'middle.pem': '' });
  const load = (paths: Partial<typeof files>) => loadX509PopIdentity({ ...files, ...paths });
  const code = 'ERR_NODE_ATTEST_IDENTITY';
  await expect(load({})).rejects.toMatchObject({ code, message: expect.stringContaining('.pem') });
  const missing = { code, message: expect.stringContaining('/none cannot be used') };
  await expect(load({ certificatePath: '/none' })).rejects.toMatchObject(missing);
  const refusal: unknown = await load({ certificatePath: files.privateKeyPath }).catch(
    (error: unknown) => error,
  );
  expect(String(refusal)).toContain('key.pem cannot be used: it holds no certificate');
});
