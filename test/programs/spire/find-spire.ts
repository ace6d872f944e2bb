import path from 'node:path';
import { ProgramMissingError } from '../pip.ts';
import { tryProgram } from '../run-program.ts';

/** SPIRE's programs, as absolute paths. */
export interface Spire {
  readonly agent: string;
  readonly server: string;
  /** Such as `1.15.3`. */
  readonly version: string;
}

/** The programs that SPIRE_AGENT and SPIRE_SERVER name. @throws ProgramMissingError saying what to install */
export async function findSpire(env: NodeJS.ProcessEnv = process.env): Promise<Spire> {
  const agent = await checked('SPIRE_AGENT', env['SPIRE_AGENT']);
  const server = await checked('SPIRE_SERVER', env['SPIRE_SERVER']);
  return { agent: agent.file, server: server.file, version: server.version };
}

async function checked(name: string, value: string | undefined) {
  if (value === undefined || value === '') throw missing(`${name} is not set`);
  const file = path.resolve(value);
  const finished = await tryProgram(file, ['--version']);
  const version = /\d+\.\d+\.\d+/u.exec(`${finished?.stdout}${finished?.stderr}`)?.[0];
  if (version === undefined) throw missing(`${name} is ${file}, which tells no version`);
  return { file, version };
}

function missing(reason: string): ProgramMissingError {
  return new ProgramMissingError(
    [
      `${reason}.`,
      'Install SPIRE 1.15 (github.com/spiffe/spire/releases has an archive with both programs) and',
      'say where they are:',
      '  SPIRE_AGENT=/opt/spire/bin/spire-agent SPIRE_SERVER=/opt/spire/bin/spire-server npm run drill:spire',
    ].join('\n'),
  );
}
