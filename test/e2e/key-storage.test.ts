import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startTransit } from '../fakes/transit-server.ts';
import { joinServer, type LaunchedServer, launchServer } from '../programs/launch-server.ts';
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
});
