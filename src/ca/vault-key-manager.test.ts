import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createCaGround, issueVerified, startCa } from '../../test/fakes/ca-world.ts';
import { makePair, startTransit, type TransitServer } from '../../test/fakes/transit-server.ts';
import { describeKeyManager } from '../../test/suites/key-manager-suite.ts';
import { systemClock } from '../ops/index.ts';
import type { KeyManager } from './key-manager.ts';
import { createVaultClient } from './vault-client.ts';
import { createVaultKeyManager } from './vault-key-manager.ts';
import { createVaultLogin, type VaultAuth } from './vault-login.ts';

let toClose: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of toClose.reverse()) await close();
  toClose = [];
});

async function transit(): Promise<TransitServer> {
  const server = await startTransit();
  toClose.push(async () => await server[Symbol.asyncDispose]());
  return server;
}

function fileWith(text: string): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-vault-'));
  toClose.push(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'secret');
  writeFileSync(file, `${text}\n`);
  return file;
}

function open(
  server: TransitServer,
  options: { readonly auth?: VaultAuth; readonly prefix?: string; readonly ca?: string } = {},
): KeyManager {
  const client = createVaultClient({
    address: server.address,
    namespace: undefined,
    certificateAuthorities: options.ca ?? server.certificate,
    clock: systemClock,
  });
  toClose.push(() => client.close());
  const auth = options.auth ?? { kind: 'token', tokenFile: fileWith('root') };
  const login = createVaultLogin(client, auth, systemClock);
  return createVaultKeyManager({ client, login, mount: 'transit', prefix: options.prefix ?? 'a-' });
}

describeKeyManager('Vault transit', async () => {
  const server = await transit();
  return { manager: open(server), reopen: async () => open(server) };
});

describe('keys in Vault', () => {
  it('are those of this server alone', async () => {
    const server = await transit();
    const [one, other] = [open(server), open(server, { prefix: 'b-' })];
    await one.generateKey('k', 'ec-p256');
    expect(await other.listKeys()).toEqual([]);
    expect(await other.deleteKey('k')).toBe(false);
    await other.generateKey('k', 'ec-p256');
    expect([...server.keys.keys()].sort()).toEqual(['a-k', 'b-k']);
  });

  it('sign with the version that the authority is of, also after a rotation by hand', async () => {
    const server = await transit();
    const world = await startCa({ ...createCaGround(), keyManager: open(server) });
    toClose.push(() => world.close());
    for (const { versions, type } of server.keys.values()) versions.push(makePair(type));
    expect((await issueVerified(world)).certificateChain).toHaveLength(1);
  });

  it.each<[string, object, string]>([
    ['may be exported', { exportable: true }, 'ERR_VAULT_KEY'],
    ['is of another type', { type: 'aes256-gcm96' }, 'ERR_VAULT_KEY'],
  ])('one that %s is not used', async (_, more, code) => {
    const server = await transit();
    await open(server).generateKey('k', 'ec-p256');
    const made = server.keys.get('a-k');
    if (made !== undefined) server.keys.set('a-k', { ...made, ...more });
    await expect(open(server).getKey('k')).rejects.toMatchObject({ code });
  });

  it('are found after a moment in which Vault does not answer', async () => {
    const server = await transit();
    const manager = open(server);
    const key = await manager.generateKey('k', 'ec-p256');
    server.fail(503, 2);
    await key.sign(Buffer.from('data'));
    server.fail(503, 3);
    await expect(key.sign(Buffer.from('data'))).rejects.toMatchObject({
      code: 'ERR_VAULT_UNAVAILABLE',
      message: expect.stringContaining('Vault is sealed'),
    });
  });

  it('cannot be had from whoever is not the Vault that is trusted', async () => {
    const [server, other] = [await transit(), await transit()];
    const manager = open(server, { ca: other.certificate });
    await expect(manager.listKeys()).rejects.toMatchObject({ code: 'ERR_VAULT_UNAVAILABLE' });
    expect(server.calls).toEqual([]);
  });
});

describe('the token for Vault', () => {
  it('is had for an AppRole, and again when Vault takes the former no more', async () => {
    const server = await transit();
    const { roleId, secretId } = server.approle;
    const secretIdFile = fileWith(secretId);
    const manager = open(server, {
      auth: { kind: 'approle', mount: 'approle', roleId, secretIdFile },
    });
    expect(await manager.listKeys()).toEqual([]);
    server.tokens.clear();
    expect(await manager.listKeys()).toEqual([]);
    expect(server.calls.filter((call) => call.includes('login'))).toHaveLength(2);
  });

  it('is had for the signed token of a service account', async () => {
    const server = await transit();
    const { role, token } = server.jwt;
    const auth = { kind: 'jwt', mount: 'kubernetes', role, tokenFile: fileWith(token) } as const;
    expect(await open(server, { auth }).listKeys()).toEqual([]);
  });

  it('is read from its file again when Vault takes the former no more', async () => {
    const server = await transit();
    const tokenFile = fileWith('root');
    const manager = open(server, { auth: { kind: 'token', tokenFile } });
    await manager.listKeys();
    server.tokens.clear();
    server.tokens.add('next');
    writeFileSync(tokenFile, 'next');
    expect(await manager.listKeys()).toEqual([]);
  });

  it('has to be one that the policy allows something, and is in no message', async () => {
    const server = await transit();
    const tokenFile = fileWith('s.secret-token');
    const manager = open(server, { auth: { kind: 'token', tokenFile } });
    const error = await manager.listKeys().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_VAULT_REFUSED' });
    expect(String(error)).not.toContain('s.secret-token');
  });

  it.each<[string, (server: TransitServer) => VaultAuth]>([
    ['a file that is not there', () => ({ kind: 'token', tokenFile: '/nonexistent/token' })],
    ['an empty file', () => ({ kind: 'token', tokenFile: fileWith('') })],
    ['a file with two lines', () => ({ kind: 'token', tokenFile: fileWith('a\nb') })],
    [
      'a wrong secret',
      ({ approle: { roleId } }) => ({
        kind: 'approle',
        mount: 'approle',
        roleId,
        secretIdFile: fileWith('wrong'),
      }),
    ],
  ])('cannot be had with %s', async (_, authOf) => {
    const server = await transit();
    const manager = open(server, { auth: authOf(server) });
    await expect(manager.listKeys()).rejects.toMatchObject({ code: 'ERR_VAULT_LOGIN' });
  });
});
