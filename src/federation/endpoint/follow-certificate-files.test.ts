import { chmod, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/fakes/endpoint-place.ts';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import {
  makeAuthority,
  type TestCertificate,
  testNow,
} from '../../../test/fakes/test-certificates.ts';
import { asPem, makeIdentity } from '../../../test/fakes/tls-place.ts';
import { createMetrics, type Log, type Metrics, silentLog } from '../../ops/index.ts';
import type { TlsIdentity } from '../../wire/index.ts';
import { type FollowedFiles, followCertificateFiles } from './follow-certificate-files.ts';

const HOUR_MS = 3_600_000;
let folder: string;
let authority: TestCertificate;
let clock: FakeClock;
let metrics: Metrics;
let followed: FollowedFiles | undefined;
let lines: string[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tp-web-'));
  authority = await makeAuthority({ uris: [] });
  clock = new FakeClock(testNow);
  lines = [];
});

afterEach(async () => {
  await followed?.close();
  followed = undefined;
  await rm(folder, { recursive: true });
});

const at = (name: string) => path.join(folder, name);

async function make(): Promise<TlsIdentity> {
  return await makeIdentity({ issuer: authority, uris: [], dns: ['a.test'] });
}

async function write(identity: TlsIdentity, mode = 0o600): Promise<void> {
  const { cert, key } = asPem(identity);
  await writeFile(at('cert.pem'), cert);
  await writeFile(at('key.pem'), key);
  await chmod(at('key.pem'), mode);
}

async function follow(): Promise<FollowedFiles> {
  metrics = createMetrics();
  const keep = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { ...silentLog, info: keep, warn: keep };
  followed = await followCertificateFiles({
    certificateFile: at('cert.pem'),
    privateKeyFile: at('key.pem'),
    clock,
    log,
    metrics,
  });
  followed.start();
  return followed;
}

async function figure(name: string): Promise<number> {
  const found = (await metrics.render()).split('\n').find((line) => line.startsWith(name));
  return Number(found?.slice(name.length));
}

/** Until the files were looked at once more. */
async function look(): Promise<void> {
  clock.advance(5_000);
  await until(() => clock.timers === 1);
}

it('is what stands in the files, and within 5 s what replaces it', async () => {
  const [first, second] = [await make(), await make()];
  await write(first);
  const files = await follow();
  expect(asPem(files.current())).toEqual(asPem(first));
  const same = files.current();
  await look();
  expect(files.current()).toBe(same);
  await write(second);
  await look();
  expect(asPem(files.current())).toEqual(asPem(second));
  expect(files.fault()).toBeUndefined();
  const expiry = await figure('trustplane_federation_endpoint_certificate_expiry_seconds');
  expect(expiry).toBe((testNow + HOUR_MS) / 1_000);
});

it('sees that a link in their path points elsewhere, as in a mounted secret', async () => {
  const [first, second] = [await make(), await make()];
  await write(first);
  for (const name of ['cert', 'key']) {
    await rename(at(`${name}.pem`), at(`${name}-1.pem`));
    await symlink(at(`${name}-1.pem`), at(`${name}.pem`));
  }
  const files = await follow();
  const { cert, key } = asPem(second);
  await writeFile(at('cert-2.pem'), cert);
  await writeFile(at('key-2.pem'), key, { mode: 0o640 });
  for (const name of ['cert', 'key']) {
    await symlink(at(`${name}-2.pem`), at('new'));
    await rename(at('new'), at(`${name}.pem`));
  }
  await look();
  expect(asPem(files.current())).toEqual(asPem(second));
});

it('keeps the last good one while certificate and key do not fit, and takes the pair once they do', async () => {
  const [first, second] = [await make(), await make()];
  await write(first);
  const files = await follow();
  await writeFile(at('cert.pem'), asPem(second).cert);
  await look();
  expect(asPem(files.current())).toEqual(asPem(first));
  expect(files.fault()).toContain('the key is not that of the certificate');
  expect(await figure('trustplane_federation_endpoint_certificate_failures_total')).toBe(1);
  await look();
  expect(await figure('trustplane_federation_endpoint_certificate_failures_total')).toBe(1);
  await writeFile(at('key.pem'), asPem(second).key);
  await look();
  expect(asPem(files.current())).toEqual(asPem(second));
  expect(files.fault()).toBeUndefined();
});

it('reads them at once when it is told to', async () => {
  const [first, second] = [await make(), await make()];
  await write(first);
  const files = await follow();
  await write(second);
  await files.reload();
  expect(asPem(files.current())).toEqual(asPem(second));
});

it('says when it has expired, and still shows it', async () => {
  await write(await make());
  const files = await follow();
  clock.advance(HOUR_MS);
  await until(() => clock.timers === 1);
  expect(files.fault()).toContain('the certificate expired at');
  expect(files.current().certificateChain).toHaveLength(1);
});

describe('a pair is refused at the start', () => {
  async function refusal(): Promise<string> {
    const refused = follow();
    await expect(refused).rejects.toMatchObject({ code: 'ERR_ENDPOINT_CERTIFICATE' });
    return await refused.then(
      () => '',
      (error: unknown) => String(error),
    );
  }

  it('when a file is missing', async () => {
    await write(await make());
    await rm(at('cert.pem'));
    expect(await refusal()).toContain('cert.pem does not exist');
  });

  it('when others may read the key', async () => {
    await write(await make(), 0o644);
    expect(await refusal()).toContain('has mode 0644; expected 0600 or 0640');
  });

  it.each([
    ['holds no certificate', 'cert.pem', ''],
    [
      'holds a damaged certificate',
      'cert.pem',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    ],
    ['holds no key', 'key.pem', 'secret'],
    ['is far too large', 'cert.pem', '\n'.repeat(300_000)],
  ])('when a file %s', async (_what, name, text) => {
    await write(await make());
    await writeFile(at(name), text);
    const told = await refusal();
    expect(told).not.toContain('secret\n');
    expect(told).toContain(at(name));
  });

  it('when the key belongs to another certificate', async () => {
    await write(await make());
    await writeFile(at('key.pem'), asPem(await make()).key);
    expect(await refusal()).toContain('the key is not that of the certificate');
  });
});

it('never tells of a key', async () => {
  const identity = await make();
  await write(identity);
  const files = await follow();
  const { key } = asPem(identity);
  await writeFile(at('key.pem'), key.replace('BEGIN PRIVATE', 'BEGIN ENCRYPTED PRIVATE'));
  await files.reload();
  await writeFile(at('cert.pem'), key);
  await files.reload();
  expect(lines).toHaveLength(2);
  const secret = key.split('\n').slice(1, -2);
  for (const line of secret) expect(`${lines.join('')}${files.fault()}`).not.toContain(line);
});

it('ends, and looks no more', async () => {
  await write(await make());
  const files = await follow();
  clock.advance(5_000);
  await files.close();
  await until(() => clock.timers === 0);
  expect(lines).toEqual([]);
});
