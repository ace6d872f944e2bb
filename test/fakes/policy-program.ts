import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from '../../src/cli/program.ts';

/** Runs `trustplane policy` in this process; resolves with its exit code and all it printed. */
export async function runPolicy(...args: readonly string[]) {
  const said = { out: '', err: '' };
  const io = {
    out: (text: string) => void (said.out += text),
    err: (text: string) => void (said.err += text),
    env: {},
    uid: 0,
  };
  return { code: await run(io, ['policy', ...args]), ...said };
}

/** Where a file of tests keeps its policies. */
export class PolicyFolder implements Disposable {
  readonly path: string = mkdtempSync(path.join(tmpdir(), 'trustplane-policy-'));

  /** A policy named `p` of these lines; returns its path. */
  write(name: string, ...lines: readonly string[]): string {
    const file = path.join(this.path, name);
    const head = ['apiVersion: trustplane/v1', 'kind: Policy', 'metadata: { name: p }'];
    writeFileSync(file, [...head, ...lines, ''].join('\n'));
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}
