import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { TlsPlace } from '../../test/fakes/tls-place.ts';
import { until } from '../../test/fakes/unix-place.ts';
import { silentLog } from '../ops/index.ts';
import { encodePem } from '../spiffe/index.ts';
import { CertificateFiles } from './certificate-files.ts';

it('takes up files that were replaced, and keeps the last good pair', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'certificate-files-'));
  const place = await TlsPlace.create();
  const certificateFile = path.join(folder, 'c.pem');
  const privateKeyFile = path.join(folder, 'k.pem');
  const write = async (): Promise<void> => {
    const { certificateChain, privateKey } = await place.issue();
    const pem = certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('');
    writeFileSync(certificateFile, pem);
    writeFileSync(privateKeyFile, encodePem('PRIVATE KEY', privateKey));
  };
  const clock = new FakeClock();
  const options = { certificateFile, privateKeyFile, clock, log: silentLog };
  await expect(CertificateFiles.open(options)).rejects.toMatchObject({ code: 'ERR_TLS_IDENTITY' });
  await write();
  const files = await CertificateFiles.open(options);
  onTestFinished(async () => {
    await files.close();
    rmSync(folder, { recursive: true });
  });
  const first = files.current();
  writeFileSync(certificateFile, 'half of a certificate');
  clock.advance(5_000);
  await until(() => files.fault() !== undefined);
  expect(files.current()).toBe(first);
  await write();
  // It looks again when it has looked.
  await until(() => {
    clock.advance(5_000);
    return files.current() !== first;
  });
  expect(files.fault()).toBeUndefined();
});
