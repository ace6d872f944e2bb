import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkFallbackFolder, openFallbackFolder } from './fallback-folder.ts';

const uid = process.getuid?.() ?? -1;
let place: string;
let folder: string;
let socket: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'fallback-'));
  folder = join(place, 'trustplane');
  socket = join(folder, 'agent.sock');
});

afterEach(() => rmSync(place, { recursive: true }));

const refused = expect.objectContaining({ code: 'ERR_FALLBACK_FOLDER' });

describe('the folder in /tmp', () => {
  it('is made when it is used, and is fine then', () => {
    checkFallbackFolder(uid, [socket], folder);
    openFallbackFolder(uid, [socket], folder);
    expect(statSync(folder).mode & 0o022).toBe(0);
    checkFallbackFolder(uid, [socket], folder);
  });

  it('is refused when it is another user’s', () => {
    mkdirSync(folder, { mode: 0o755 });
    expect(() => checkFallbackFolder(uid + 1, [undefined, socket], folder)).toThrow(refused);
    expect(() => openFallbackFolder(uid + 1, [socket], folder)).toThrow(refused);
  });

  it('is refused when others may write to it, or when it is a link', () => {
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    expect(() => openFallbackFolder(uid, [socket], folder)).toThrow(refused);
    const link = join(place, 'link');
    chmodSync(folder, 0o755);
    symlinkSync(folder, link);
    expect(() => openFallbackFolder(uid, [join(link, 'agent.sock')], link)).toThrow(refused);
  });

  it('is of no interest when all paths lie elsewhere', () => {
    mkdirSync(folder);
    const elsewhere = [`${folder}-2/agent.sock`, '/run/agent.sock'];
    expect(() => openFallbackFolder(uid + 1, elsewhere, folder)).not.toThrow();
  });
});
