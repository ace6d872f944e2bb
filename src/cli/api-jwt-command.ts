import { Command, Option } from 'commander';
import type { FetchedJwt, WorkloadApiClient } from '../client/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { collect, timeoutMs, type WorkloadOptions, withWorkloadSocket } from './options.ts';
import { formatFields } from './table.ts';

interface FetchOptions extends WorkloadOptions {
  readonly write?: string;
  readonly audience?: readonly string[];
  readonly spiffeId?: string;
  readonly timeout: number;
}

interface ValidateOptions extends WorkloadOptions {
  readonly audience?: string;
  readonly timeout: number;
}

/** Runs what needs a client. */
type WithClient = (
  options: WorkloadOptions,
  act: (client: WorkloadApiClient) => Promise<void>,
) => Promise<void>;

const MAX_TOKEN_BYTES = 65_536;

const FETCH_EXAMPLES = `
Examples:
  trustplane api fetch jwt --audience spiffe://example.org/db
  trustplane api fetch jwt --audience db --spiffe-id spiffe://example.org/web
  trustplane api fetch jwt --audience db --write token.jwt
  trustplane api fetch jwt --audience db --output json | jq -r .svids[0].token`;

const VALIDATE_EXAMPLES = `
Examples:
  trustplane api validate jwt --audience db token.jwt
  trustplane api fetch jwt --audience db --output json | jq -r .svids[0].token |
    trustplane api validate jwt --audience db -`;

export function fetchJwtCommand(io: Io, withClient: WithClient): Command {
  return withWorkloadSocket(new Command('jwt'), io)
    .description('Fetch JWT-SVIDs of this process.')
    .option('--audience <name>', 'who the tokens are for (repeatable)', collect)
    .option('--spiffe-id <id>', 'of this identity only')
    .option('--write <file>', 'write the first token to a file (0600) instead of printing it')
    .addOption(timeoutOption())
    .addHelpText('after', FETCH_EXAMPLES)
    .action((options: FetchOptions) =>
      withClient(options, async (client) => {
        const audience = required(options.audience);
        const id = options.spiffeId === undefined ? undefined : SpiffeId.parse(options.spiffeId);
        const fetched = await client.fetchJwt(audience, id, options.timeout);
        if (options.write !== undefined) return await write(io, options, fetched);
        const svids = fetched.map(describe);
        print(io, options.output, { svids }, svids.map(format).join('\n\n'));
      }),
    );
}

export function validateCommand(io: Io, withClient: WithClient): Command {
  const jwt = withWorkloadSocket(new Command('jwt'), io)
    .description('Have the Workload API verify a JWT-SVID.')
    .argument('<file>', 'file with the token, - for standard input')
    .option('--audience <name>', 'who the token must be for')
    .addOption(timeoutOption())
    .addHelpText('after', VALIDATE_EXAMPLES)
    .action((file: string, options: ValidateOptions) =>
      withClient(options, async (client) => {
        const audience = required(options.audience);
        const { readInput } = await import('./read-input.ts');
        const token = Buffer.from(await readInput(file, MAX_TOKEN_BYTES))
          .toString('utf8')
          .trim();
        const { spiffeId, claims } = await client.validateJwt(audience, token, options.timeout);
        const fields = Object.entries(claims).map(([name, value]): [string, string] => [
          name,
          typeof value === 'string' ? value : JSON.stringify(value),
        ]);
        const text = formatFields([['SPIFFE ID', spiffeId], ...fields]);
        print(io, options.output, { spiffeId, claims }, text);
      }),
    );
  return new Command('validate')
    .description('Have the Workload API verify what others have sent.')
    .addHelpText('after', VALIDATE_EXAMPLES)
    .addCommand(jwt);
}

/** The first is the default identity's. */
async function write(
  io: Io,
  { write: file = '', output }: FetchOptions,
  [first]: readonly FetchedJwt[],
): Promise<void> {
  if (first === undefined) throw new TrustplaneError('ERR_INTERNAL', 'an answer without a token');
  const { writeFileAtomic } = await import('../ops/index.ts');
  await writeFileAtomic(file, Buffer.from(first.token), { mode: 0o600 });
  const { token: _, ...facts } = describe(first);
  print(io, output, { ...facts, files: [file] }, `wrote ${file}`);
}

interface JwtView {
  readonly spiffeId: string;
  readonly hint: string;
  readonly audience: readonly string[];
  readonly expiresAt: string;
  readonly token: string;
}

function describe({ svid, token, hint }: FetchedJwt): JwtView {
  return {
    spiffeId: svid.spiffeId.toString(),
    hint,
    audience: svid.audience,
    expiresAt: new Date(svid.expiresAt).toISOString(),
    token,
  };
}

function format({ spiffeId, hint, audience, expiresAt, token }: JwtView): string {
  return formatFields([
    ['SPIFFE ID', spiffeId],
    ['Hint', hint],
    ['Audience', audience.join(', ')],
    ['Valid until', expiresAt],
    ['Token', token],
  ]);
}

function timeoutOption(): Option {
  return new Option('--timeout <duration>', 'how long to wait for the answer')
    .argParser(timeoutMs)
    .default(5_000, '5s');
}

function required<T>(audience: T | undefined): T {
  if (audience !== undefined) return audience;
  throw new TrustplaneError('ERR_USAGE', '--audience is required (see --help)');
}
