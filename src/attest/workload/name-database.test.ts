import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NameDatabase } from './name-database.ts';

let folder: string;
let path: string;
let warnings: string[];
let names: NameDatabase;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'names-'));
  path = join(folder, 'passwd');
  warnings = [];
  names = new NameDatabase(path, (why) => warnings.push(why));
});

afterEach(() => rmSync(folder, { recursive: true }));

describe('NameDatabase', () => {
  it('sees a changed file', () => {
    writeFileSync(path, 'alice:x:1:\n');
    expect(names.nameOf(1)).toBe('alice');
    expect(names.nameOf(2)).toBeUndefined();
    writeFileSync(path, 'bob:x:1:\nalice:x:2:\n');
    expect(names.nameOf(1)).toBe('bob');
    expect(names.nameOf(2)).toBe('alice');
  });

  it('knows nobody while the file is missing, and says so once', () => {
    expect(names.nameOf(1)).toBeUndefined();
    expect(names.nameOf(1)).toBeUndefined();
    expect(warnings).toHaveLength(1);
    writeFileSync(path, 'alice:x:1:\n');
    expect(names.nameOf(1)).toBe('alice');
    rmSync(path);
    expect(names.nameOf(1)).toBeUndefined();
    expect(warnings).toHaveLength(2);
  });

  it('does not read a file that is too long', () => {
    writeFileSync(path, 'alice:x:1:\n');
    expect(names.nameOf(1)).toBe('alice');
    truncateSync(path, 17 * 1024 * 1024);
    expect(names.nameOf(1)).toBeUndefined();
    expect(warnings[0]).toMatch(/at most 16777216/);
  });
});
