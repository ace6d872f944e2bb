/** `npm test`: all tests, real programs included; the last line counts them. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findEnvoy } from '../test/programs/find-envoy.ts';
import { findNatsServer } from '../test/programs/find-nats-server.ts';
import { ProgramMissingError } from '../test/programs/pip.ts';
import { findPySpiffe } from '../test/programs/py-spiffe.ts';
import { judgeRun } from './test-verdict.ts';

const root = path.join(import.meta.dirname, '..');

process.exitCode = await main(process.argv.slice(2));

/** Arguments go to vitest, such as a file's name; without any all tests but the drills run. */
async function main(args: readonly string[]): Promise<number> {
  if (!(await preparePrograms())) return 1;
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-test-'));
  try {
    const report = path.join(folder, 'report.json');
    const code = await runVitest(args, report);
    const verdict = judgeRun(code, readReport(report), process.env['CI'] !== undefined);
    process.stdout.write(`${verdict.lines.join('\n')}\n`);
    return verdict.failed === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Downloads now what tests would otherwise download at the same time. */
async function preparePrograms(): Promise<boolean> {
  process.stdout.write(
    'looking for Envoy and nats-server (the first time this may download them)\n',
  );
  try {
    const [envoy, nats] = [await findEnvoy(), await findNatsServer()];
    process.stdout.write(`Envoy ${envoy.version} from ${envoy.origin}\n`);
    process.stdout.write(`nats-server ${nats.version} from ${nats.origin}\n`);
  } catch (error) {
    if (!(error instanceof ProgramMissingError)) throw error;
    process.stderr.write(`${error.message}\n0 passed, 1 failed\n`);
    return false;
  }
  await findPySpiffe().catch((error: unknown) => {
    if (!(error instanceof ProgramMissingError)) throw error;
    process.stdout.write(`tests with py-spiffe will be skipped: ${error.message}\n`);
  });
  return true;
}

async function runVitest(args: readonly string[], report: string): Promise<number> {
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  return await new Promise((resolve, reject) => {
    const which = args.length === 0 ? ['--project=unit', '--project=e2e'] : args;
    const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...which], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => child.kill(signal));
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

function readReport(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
