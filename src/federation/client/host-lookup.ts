import { type LookupAddress, lookup, promises } from 'node:dns';
import { readFile } from 'node:fs/promises';
import type { LookupFunction } from 'node:net';
import { callbackify, promisify } from 'node:util';
import { Lane } from './lane.ts';

const TRY_MS = 2_000;
const TRIES = 2;
/** The system's resolver blocks a thread for each, and the process has four. */
const SYSTEM_LOOKUPS = 1;

const askSystem = promisify(lookup);

export interface HostLookupOptions {
  /** Addresses of name servers; default those of the system. */
  readonly servers?: readonly string[];
  /** Default `/etc/hosts`. */
  readonly hostsFile?: string;
}

/**
 * Finds the addresses of a name without a thread that waits: names whose servers do not answer keep
 * nobody else from being found. What DNS does not know the system's resolver is asked for (search
 * domains, other sources), and first of all what the hosts file has.
 */
export function createHostLookup(options: HostLookupOptions = {}): LookupFunction {
  const system = new Lane(SYSTEM_LOOKUPS);
  const find = async (host: string): Promise<readonly LookupAddress[]> => {
    const isNamed = await standsIn(options.hostsFile ?? '/etc/hosts', host);
    const found = isNamed ? [] : await queryDns(host, options.servers);
    return found.length > 0 ? found : await system.run(() => askSystem(host, { all: true }));
  };
  const answer = callbackify(find);
  return (host, { all }, callback) =>
    answer(host, (error, addresses) => {
      if (error !== null) return callback(error, []);
      if (all === true) return callback(null, [...addresses]);
      const [first] = addresses;
      callback(null, first?.address ?? '', first?.family);
    });
}

async function standsIn(file: string, host: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .some((line) => line.replace(/#.*$/u, '').trim().split(/\s+/u).slice(1).includes(host));
}

/** None where DNS has none. @throws where it does not answer in time */
async function queryDns(
  host: string,
  servers: readonly string[] | undefined,
): Promise<readonly LookupAddress[]> {
  // It reads the name servers of the system, which may have changed.
  const resolver = new promises.Resolver({ timeout: TRY_MS, tries: TRIES });
  if (servers !== undefined) resolver.setServers(servers);
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const found = answers.flatMap((answer, at) =>
    answer.status === 'fulfilled'
      ? answer.value.map((address) => ({ address, family: at === 0 ? 4 : 6 }))
      : [],
  );
  const late = answers.find((answer) => answer.status === 'rejected' && isLate(answer.reason));
  if (found.length > 0 || late?.status !== 'rejected') return found;
  throw late.reason;
}

function isLate(reason: unknown): boolean {
  return reason instanceof Error && 'code' in reason && reason.code === 'ETIMEOUT';
}
