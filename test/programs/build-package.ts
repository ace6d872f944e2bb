import { cpSync, readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { runProgram } from './run-program.ts';

const root = path.join(import.meta.dirname, '..', '..');

/** Builds the package into `folder`, with the files that are published and no others; returns the program. */
export async function buildPackage(folder: string): Promise<string> {
  const { files }: { files: readonly string[] } = JSON.parse(
    readFileSync(path.join(root, 'package.json'), 'utf8'),
  );
  for (const file of ['package.json', ...files.filter((name) => name !== 'dist')])
    cpSync(path.join(root, file), path.join(folder, file), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const out = ['--outDir', path.join(folder, 'dist')];
  // Types are checked elsewhere, and take long.
  const args = [tsc, '-p', path.join(root, 'tsconfig.build.json'), '--noCheck', ...out];
  const { code, stdout } = await runProgram(process.execPath, args, { timeoutMs: 170_000 });
  if (code !== 0) throw new Error(`the build failed:\n${stdout}`);
  return path.join(folder, 'bin', 'trustplane.js');
}
