import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenOnSocketFile, parseSocketPath, type SocketFile } from './socket-file.ts';

let folder: string;
const servers: Server[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'socket-file-'));
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true });
});

function listen(path: string, mode = 0o600): Promise<SocketFile> {
  const server = createServer((socket) => socket.destroy());
  servers.push(server);
  return listenOnSocketFile(server, { path, mode, directoryMode: 0o755, backlog: 8 });
}

/** Leaves a socket file that nobody listens on, as a killed process does. */
async function makeStale(path: string): Promise<void> {
  const file = await listen(path);
  servers.pop()?.close();
  expect(existsSync(file.path)).toBe(true);
}

async function expectAnswer(path: string): Promise<void> {
  const socket = connect(path);
  await once(socket, 'connect');
  socket.destroy();
}

describe('parseSocketPath', () => {
  it('names the bytes and the limit of a path that is too long', () => {
    const path = `/${'é'.repeat(60)}`;
    expect(() => parseSocketPath(path)).toThrow(
      expect.objectContaining({
        code: 'ERR_SOCKET_PATH_TOO_LONG',
        message: `the socket path ${path} has 121 bytes; Linux allows at most 107`,
      }),
    );
    expect(parseSocketPath(`/${'x'.repeat(106)}`)).toHaveLength(107);
  });

  it.each([[''], ['\0abstract'], ['a\0b']])('refuses %j', (path) => {
    expect(() => parseSocketPath(path)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCKET_PATH' }),
    );
  });
});

describe('listenOnSocketFile', () => {
  it('makes the folders and a socket with the mode, and leaves nothing else', async () => {
    const path = join(folder, 'a/b/agent.sock');
    await listen(path, 0o640);
    expect(lstatSync(path).mode & 0o7777).toBe(0o640);
    expect(statSync(join(folder, 'a')).mode & 0o777).toBe(0o755);
    expect(readdirSync(join(folder, 'a/b'))).toEqual(['agent.sock']);
    await expectAnswer(path);
  });

  it('takes a path of exactly 107 bytes', async () => {
    const path = join(folder, 'x'.repeat(107 - Buffer.byteLength(folder) - 1));
    expect(Buffer.byteLength(path)).toBe(107);
    await listen(path);
    await expectAnswer(path);
  });

  it('replaces a socket that nobody listens on', async () => {
    const path = join(folder, 'agent.sock');
    await makeStale(path);
    await listen(path, 0o666);
    expect(lstatSync(path).mode & 0o777).toBe(0o666);
    await expectAnswer(path);
  });

  it('leaves a live socket alone', async () => {
    const path = join(folder, 'agent.sock');
    await listen(path);
    await expect(listen(path)).rejects.toMatchObject({ code: 'ERR_SOCKET_IN_USE' });
    await expectAnswer(path);
    expect(readdirSync(folder)).toEqual(['agent.sock']);
  });

  it('lets exactly one of many win a stale path', async () => {
    const path = join(folder, 'agent.sock');
    await makeStale(path);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => listen(path)));
    const won = results.filter(({ status }) => status === 'fulfilled');
    expect(won).toHaveLength(1);
    const codes = results.map((result) => result.status === 'rejected' && result.reason.code);
    expect(codes.filter((code) => code === 'ERR_SOCKET_IN_USE')).toHaveLength(19);
    await expectAnswer(path);
    expect(readdirSync(folder)).toEqual(['agent.sock']);
  });

  it.each([
    ['a file', (path: string) => writeFileSync(path, 'precious')],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a symbolic link', (path: string) => symlinkSync('/nowhere', path)],
  ])('refuses %s and leaves it', async (_what, make) => {
    const path = join(folder, 'agent.sock');
    make(path);
    await expect(listen(path)).rejects.toMatchObject({ code: 'ERR_SOCKET_PATH' });
    expect(readdirSync(folder)).toEqual(['agent.sock']);
    expect(lstatSync(path).isSocket()).toBe(false);
  });

  it('says why when the folder cannot be made', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(listen(join(folder, 'file/agent.sock'))).rejects.toMatchObject({
      code: 'ERR_SOCKET_PATH',
      message: expect.stringMatching(/ENOTDIR|EEXIST/),
    });
  });

  it('removes its own file only', async () => {
    const path = join(folder, 'agent.sock');
    const first = await listen(path);
    first.remove();
    expect(existsSync(path)).toBe(false);
    const second = await listen(path);
    first.remove();
    await expectAnswer(path);
    second.remove();
    second.remove();
    expect(existsSync(path)).toBe(false);
  });
});
