import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { asPem, TlsPlace } from '../fakes/tls-place.ts';
import { type Finished, runProgram, tryProgram } from '../programs/run-program.ts';

/** OpenSSL itself as the client, where the machine has it; the same rules are tested with Node's TLS beside the server. */
const hasOpenssl = (await tryProgram('openssl', ['version'])) !== undefined;

describe.skipIf(!hasOpenssl)('OpenSSL as the client of a TLS server', () => {
  let place: TlsPlace;
  let folder: string;

  beforeEach(async () => {
    place = await TlsPlace.create();
    folder = await mkdtemp(path.join(tmpdir(), 'tp-tls-'));
    await place.serve();
  });

  afterEach(async () => {
    await place.close();
    await rm(folder, { recursive: true });
  });

  async function connect(...args: readonly string[]): Promise<Finished> {
    const target = ['-connect', `127.0.0.1:${place.port}`, '-alpn', 'h2'];
    return await runProgram('openssl', ['s_client', ...target, ...args], { input: 'Q\n' });
  }

  it.each(['-tls1_2', '-tls1_3'])('is served with %s and forward secrecy', async (version) => {
    const { stdout } = await connect(version);
    expect(stdout).toContain('ALPN protocol: h2');
    expect(stdout).toMatch(/Server Temp Key: |Negotiated TLS1.3 group: |Peer Temp Key: /);
    expect(stdout).toContain('Secure Renegotiation');
  });

  it.each([
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['TLS 1.0', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['RSA key exchange', ['-tls1_2', '-cipher', 'AES128-GCM-SHA256']],
    ['CBC', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256']],
  ])('is refused with %s', async (_what, args) => {
    const { stdout, stderr } = await connect(...args);
    expect(stdout).toMatch(/Cipher is \(NONE\)/);
    expect(stderr).toMatch(/alert/i);
  });

  it('is given no names of authorities, since those say whom the trust domain trusts', async () => {
    const { stdout } = await connect('-tls1_2');
    expect(stdout).toContain('No client certificate CA names sent');
  });

  it.each(['-tls1_2', '-tls1_3'])('cannot resume a session with %s', async (version) => {
    const session = path.join(folder, 'session.pem');
    const certificate = path.join(folder, 'client.pem');
    const { cert, key } = asPem(await place.issue());
    await writeFile(certificate, `${cert}${key}`);
    const first = await connect(version, '-cert', certificate, '-sess_out', session, '-ign_eof');
    expect(first.stdout).toContain('New, TLSv1');
    const second = await connect(version, '-cert', certificate, '-sess_in', session);
    expect(second.stdout).toContain('New, TLSv1');
    expect(second.stdout).not.toContain('Reused');
  });

  it('cannot resume however often it reconnects', async () => {
    const { stdout } = await connect('-tls1_2', '-reconnect');
    expect(stdout.match(/^New, /gm)?.length).toBe(6);
    expect(stdout).not.toContain('Reused');
    expect(stdout).not.toContain('TLS session ticket');
  });

  it('is closed when its certificate is of a stranger', async () => {
    const stranger = await makeAuthority({ subject: 'CN=stranger' });
    const certificate = path.join(folder, 'client.pem');
    const { cert, key } = asPem(await place.issue({ issuer: stranger }));
    await writeFile(certificate, `${cert}${key}`);
    await connect('-tls1_3', '-cert', certificate, '-ign_eof');
    expect(await place.refused('client_certificate')).toBe(1);
  });
});
