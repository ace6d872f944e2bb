import { execFile } from 'node:child_process';
import { TrustplaneError } from '../../spiffe/index.ts';

/** What systemd says of a unit. */
export interface UnitFacts {
  readonly id: string;
  readonly controlGroup: string;
  /** Empty for a unit without a file. */
  readonly fragmentPath: string;
}

const MAX_BYTES = 65_536;
const NAMES = ['Id', 'ControlGroup', 'FragmentPath'] as const;

/**
 * Asks systemd by way of its own program, which speaks its bus.
 * @throws TrustplaneError ERR_ATTEST_UNREACHABLE, ERR_ATTEST_ANSWER
 */
export async function showUnit(
  systemctl: string,
  unit: string,
  signal: AbortSignal,
): Promise<UnitFacts> {
  const args = ['show', '--no-pager', `--property=${NAMES.join(',')}`, '--', unit];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = {
    signal,
    maxBuffer: MAX_BYTES,
    env: { LC_ALL: 'C' },
    killSignal: 'SIGKILL',
  } as const;
  const child = execFile(systemctl, args, options, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(unreachable(systemctl, stderr.trim() || error.message));
  });
  child.stdin?.end();
  return parseUnitFacts(await promise);
}

/** Parses lines of `Name=value`. @throws TrustplaneError ERR_ATTEST_ANSWER */
export function parseUnitFacts(text: string): UnitFacts {
  const [id, controlGroup, fragmentPath] = NAMES.map((name) => valueOf(text, name));
  if (id !== undefined && controlGroup !== undefined && fragmentPath !== undefined)
    return { id, controlGroup, fragmentPath };
  throw new TrustplaneError(
    'ERR_ATTEST_ANSWER',
    `what systemctl prints is not understood: expected ${NAMES.join(', ')}`,
  );
}

function valueOf(text: string, name: string): string | undefined {
  const values = text.split('\n').filter((line) => line.startsWith(`${name}=`));
  return values.length === 1 ? values[0]?.slice(name.length + 1) : undefined;
}

function unreachable(systemctl: string, why: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_UNREACHABLE',
    `${systemctl} does not tell of units: ${why.slice(0, 200)}`,
  );
}
