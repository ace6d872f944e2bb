import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startTransit } from '../fakes/transit-server.ts';
import { joinServer, type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const folder = createRunFolder();
afterAll(() => folder.remove());

function placeOf(name: string): string {
  const at = path.join(folder.path, name);
  mkdirSync(at);
  return at;
}

async function activeOf(server: LaunchedServer, kind: 'x509' | 'jwt'): Promise<string> {
  const { authorities } = await server.ask('authority', kind, 'show');
  return authorities.find(({ slot }: { slot: string }) => slot === 'active').authorityId;
}

describe('keys of authorities', () => {
  it.each([
    ['rsa-2048', 'rsa-2048'],
    ['rsa-4096', 'ec-p384'],
    ['ec-p384', 'rsa-4096'],
  ])('of the types %s and %s sign, and again after a restart', async (x509, jwt) => {
    const at = placeOf(`${x509}-${jwt}`);
    const config = `server:\n  ca:\n    keyType: ${x509}\n    jwtKeyType: ${jwt}\n`;
    const first = await launchServer(at, { config });
    await joinServer(first);
    const ids = [await activeOf(first, 'x509'), await activeOf(first, 'jwt')];
    await first.stop();
    const second = await launchServer(at, { config });
    expect([await activeOf(second, 'x509'), await activeOf(second, 'jwt')]).toEqual(ids);
    await joinServer(second);
    await second.stop();
  });

  it('move from the disk into Vault with the next authority, and stay there', async () => {
    await using transit = await startTransit();
    const at = placeOf('vault');
    const onDisk = await launchServer(at);
    const former = await activeOf(onDisk, 'x509');
    await onDisk.stop();
    writeFileSync(path.join(at, 'ca.pem'), transit.certificate);
    writeFileSync(path.join(at, 'token'), 'root');
    const config = `server:
  ca:
    keyStorage: vault
    vault:
      address: ${transit.address}
      caFile: ${path.join(at, 'ca.pem')}
      auth:
        tokenFile: ${path.join(at, 'token')}
`;
    const moving = await launchServer(at, { config });
    expect(await activeOf(moving, 'x509')).toBe(former);
    const { authorityId } = await moving.ask('authority', 'x509', 'prepare');
    await moving.ask('authority', 'x509', 'activate', authorityId, '--wait', '60s');
    expect([...transit.keys.keys()]).toEqual([
      expect.stringMatching(/^trustplane-[0-9a-f]{16}-x509-/u),
    ]);
    await joinServer(moving);
    await moving.stop();
    const again = await launchServer(at, { config });
    expect(await activeOf(again, 'x509')).toBe(authorityId);
    await joinServer(again);
    await again.stop();
  });

  it('are sealed with a passphrase, and with another, without new authorities', async () => {
    const at = placeOf('sealed');
    const fileOf = (name: string): string => path.join(at, name);
    const first = await launchServer(at);
    const authority = await activeOf(first, 'x509');
    writeFileSync(fileOf('one'), 'correct horse battery staple\n');
    writeFileSync(fileOf('other'), 'another passphrase\n');
    const configWith = (name: string): string =>
      `server:\n  ca:\n    sealPassphrase:\n      file: ${fileOf(name)}\n`;
    const reseal = async (...flags: readonly string[]) =>
      await runTrustplane(
        'keys',
        'reseal',
        '--config',
        fileOf('trustplane.yaml'),
        '--data-dir',
        fileOf('data'),
        ...flags,
      );
    const whileRunning = await reseal('--to-passphrase-file', fileOf('one'));
    expect(whileRunning.stderr).toContain('ERR_DATA_DIR_IN_USE');
    await first.stop();
    expect(await reseal('--to-passphrase-file', fileOf('one'))).toMatchObject({ code: 0 });
    await expect(launchServer(at)).rejects.toThrow('ERR_KEY_PASSPHRASE');
    await expect(launchServer(at, { config: configWith('other') })).rejects.toThrow(
      'ERR_KEY_PASSPHRASE',
    );
    const second = await launchServer(at, { config: configWith('one') });
    expect(await activeOf(second, 'x509')).toBe(authority);
    await second.stop();
    expect(await reseal('--to-passphrase-file', fileOf('other'))).toMatchObject({ code: 0 });
    const third = await launchServer(at, { config: configWith('other') });
    expect(await activeOf(third, 'x509')).toBe(authority);
    await third.stop();
  });
});
