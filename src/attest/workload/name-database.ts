import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../../spiffe/index.ts';

/** Longer files are not read: names are then left out. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_NAME_LENGTH = 256;

/**
 * Names by ID out of /etc/passwd or /etc/group, whose third field is the ID. The file is read again
 * when it has changed. Names that only a directory service knows are not found: asking it could
 * block, and load foreign code into the process.
 */
export class NameDatabase {
  readonly #path: string;
  readonly #failed: (why: string) => void;
  #version = 'unread';
  #names: ReadonlyMap<number, string> = new Map();

  constructor(path: string, failed: (why: string) => void) {
    this.#path = path;
    this.#failed = failed;
  }

  nameOf(id: number): string | undefined {
    return this.#current().get(id);
  }

  #current(): ReadonlyMap<number, string> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = statSync(this.#path, { bigint: true });
      const version = `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
      if (version !== this.#version) this.#load(version, size);
    } catch (error) {
      this.#fail('', messageOf(error));
    }
    return this.#names;
  }

  #load(version: string, size: bigint): void {
    if (size > MAX_FILE_BYTES) {
      this.#fail(version, `it has ${size} bytes; at most ${MAX_FILE_BYTES} are read`);
      return;
    }
    this.#names = parseNames(readFileSync(this.#path, 'utf8'));
    this.#version = version;
  }

  #fail(version: string, why: string): void {
    if (this.#names.size > 0 || this.#version !== version) this.#failed(`${this.#path}: ${why}`);
    this.#names = new Map();
    this.#version = version;
  }
}

/** The first name wins, as getpwuid(3) has it. Lines that are not of the form are skipped. */
export function parseNames(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name, , id] = line.split(':', 3);
    if (name === undefined || id === undefined || !isName(name) || !/^\d{1,10}$/.test(id)) continue;
    if (!names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

/** Not a comment, nor a `+` or `-` entry of NIS. */
function isName(name: string): boolean {
  return /^[^#+\-\p{C}][^\p{C}]*$/u.test(name) && name.length <= MAX_NAME_LENGTH;
}
