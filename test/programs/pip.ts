import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { cachedFolder, findCachedFolder } from './project-cache.ts';
import { runProgram, tryProgram } from './run-program.ts';

/** Something that several places were asked for in vain; the message lists them and what to do. */
export class ProgramMissingError extends Error {
  override readonly name = 'ProgramMissingError';
}

/** A `pip` command line, or undefined when there is none. */
async function findPip(): Promise<readonly string[] | undefined> {
  const candidates = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']];
  for (const candidate of candidates) {
    const [command, ...args] = candidate;
    if (command !== undefined && (await tryProgram(command, [...args, '--version'])) !== undefined)
      return candidate;
  }
  return undefined;
}

/**
 * A folder with the wheels that a requirements file beside this one pins by hash. pip's `--target`
 * leaves the machine's Python as it is, so an externally managed one (PEP 668) does not mind.
 */
export async function installWheels(requirements: string): Promise<string> {
  const name = `${await folderPrefix(requirements)}${await pythonTag()}`;
  return await cachedFolder(name, async (folder) => await fill(folder, fileOf(requirements)));
}

/**
 * The folder of `installWheels` if an earlier run has filled it, for wheels without parts that
 * belong to one Python version: it is found for whichever Python there was, or with none.
 */
export async function installedWheels(requirements: string): Promise<string | undefined> {
  const prefix = await folderPrefix(requirements);
  return findCachedFolder((name) => /^(-py[\d.]+)?$/.test(name.replace(prefix, '')));
}

function fileOf(requirements: string): string {
  return path.join(import.meta.dirname, requirements);
}

async function folderPrefix(requirements: string): Promise<string> {
  const digest = createHash('sha256')
    .update(await readFile(fileOf(requirements)))
    .digest('hex')
    .slice(0, 16);
  return `${path.basename(requirements, '.txt')}-${digest}-${process.arch}`;
}

async function fill(folder: string, file: string): Promise<void> {
  const [pip, ...args] = (await findPip()) ?? [];
  if (pip === undefined)
    throw new ProgramMissingError('no pip: neither python3 -m pip, pip3 nor pip runs');
  const install = ['install', '--quiet', '--no-input', '--disable-pip-version-check', '--no-deps'];
  const pinned = ['--require-hashes', '--only-binary', ':all:', '--requirement', file];
  const command = [...args, ...install, ...pinned, '--target', folder];
  const env = { ...process.env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0' };
  const finished = await runProgram(pip, command, { env, timeoutMs: 600_000 });
  if (finished.code === 0) return;
  const said = finished.stderr.trim().split('\n').slice(-5).join('\n');
  throw new ProgramMissingError(`pip could not install ${path.basename(file)}: ${said}`);
}

/** Wheels with native parts belong to one Python version. */
async function pythonTag(): Promise<string> {
  const code = 'import sys; print("-py%d.%d" % sys.version_info[:2])';
  return (await tryProgram('python3', ['-c', code]))?.stdout.trim() ?? '';
}
