import { Command, Option } from 'commander';
import type { LoadedPolicies } from '../app/load-policies.ts';
import type { AccessRequest, Explanation } from '../authz/index.ts';
import { SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { collect, count, instantSeconds, type OutputOptions, withOutput } from './options.ts';
import { formatFields } from './table.ts';

interface ExplainOptions extends OutputOptions {
  readonly as?: string;
  readonly request?: string;
  readonly service?: string;
  readonly contextExtension?: string;
  readonly host?: string;
  readonly header?: readonly string[];
  readonly claims?: string;
  readonly ip?: string;
  readonly destinationIp?: string;
  readonly port?: number;
  readonly body?: number;
  readonly credential?: 'x509-svid' | 'jwt-svid';
  readonly at?: number;
  readonly decision?: string;
  readonly log?: string;
}

const EXAMPLES = `
Examples:
  trustplane policy explain payments.yaml --as spiffe://example.org/web --request 'GET /v1/charges'
  trustplane policy explain policies/ --service spiffe://example.org/api --request 'GET /'
  trustplane policy explain ledger.yaml --as spiffe://example.org/web --request 'POST /v2/entries' \\
    --claims '{"iss":"https://sso.example","sub":"ada","groups":["ledger-writers"]}'
  trustplane policy explain policies/ --decision 9f2c51d07ab3-1x --log decisions.jsonl

Exit code 0 whether it is allowed or denied. Without --as the caller is not authenticated.`;

export function explainCommand(io: Io): Command {
  return withOutput(new Command('explain'))
    .description('Decide a request, and say which rule decided or which came nearest.')
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .option('--as <spiffe-id>', 'who calls')
    .option('--request <line>', 'method and path, as in "GET /x"; without it: no HTTP')
    .option('--service <spiffe-id>', 'which service is called, where the policies have several')
    .option('--context-extension <name>', 'the name that the route gives the policies')
    .option('--host <host>', 'host of the request')
    .option(
      '--header <line>',
      'header of the request, as in "x-ticket: INC-1" (may be repeated)',
      collect,
    )
    .option('--claims <json>', 'payload of the verified token')
    .option('--ip <address>', 'IP address of the caller')
    .option('--destination-ip <address>', 'IP address that is called')
    .option('--port <number>', 'port that is called', count(1))
    .option('--body <octets>', 'size of the body (default: 0)', count(0))
    .addOption(
      new Option('--credential <kind>', 'what shows who calls (default: x509-svid)').choices([
        'x509-svid',
        'jwt-svid',
      ]),
    )
    .option('--at <instant>', 'when, as in 2027-01-31T12:00:00Z (default: now)', instantSeconds)
    .option('--decision <id>', 'a logged decision, whose request is decided again')
    .option('--log <file>', 'the decision log that has it')
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: ExplainOptions) => run(io, files, options));
}

async function run(io: Io, files: readonly string[], options: ExplainOptions): Promise<void> {
  const { explain } = await import('../authz/index.ts');
  const loaded = await loadNamedPolicies(files);
  const asked = { ...(await loggedOptions(options)), ...options };
  const explanation = explain(loaded.plan, await buildRequest(asked, loaded));
  const { decision, nearest } = explanation;
  const value = { ...decision, headers: Object.fromEntries(decision.headers), nearest };
  print(io, options.output, value, formatExplanation(explanation));
}

/** What the log says; time and sizes are of now. */
async function loggedOptions({ decision, log }: ExplainOptions): Promise<Partial<ExplainOptions>> {
  if (decision === undefined && log === undefined) return {};
  if (decision === undefined || log === undefined)
    throw new TrustplaneError('ERR_USAGE', '--decision and --log say nothing without each other');
  const { findLoggedDecision } = await import('./logged-decision.ts');
  const logged = await findLoggedDecision(log, decision);
  const { caller, credential, service, contextExtension, method, path, host } = logged;
  const { headers = {}, source, destination, port } = logged;
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    values.map((value) => `${name}: ${value}`),
  );
  return {
    ...(caller !== undefined && { as: caller }),
    ...(credential !== undefined && { credential }),
    ...(service !== undefined && { service }),
    ...(contextExtension !== undefined && { contextExtension }),
    ...(method !== undefined && path !== undefined && { request: `${method} ${path}` }),
    ...(host !== undefined && { host }),
    ...(source !== undefined && { ip: source }),
    ...(destination !== undefined && { destinationIp: destination }),
    ...(port !== undefined && { port }),
    header: lines,
  };
}

async function buildRequest(
  options: ExplainOptions,
  loaded: LoadedPolicies,
): Promise<AccessRequest> {
  const { systemClock } = await import('../ops/system-clock.ts');
  return {
    service: await serviceOf(options, loaded),
    caller: options.as === undefined ? 'unauthenticated' : SpiffeId.parse(options.as),
    credential: options.credential,
    http: httpOf(options),
    bodyBytes: options.body ?? 0,
    claims: options.claims === undefined ? undefined : parseClaims(options.claims),
    sourceIp: options.ip,
    destinationIp: options.destinationIp,
    destinationPort: options.port,
    now: options.at === undefined ? systemClock.now() : options.at * 1_000,
  };
}

async function serviceOf(
  { service, contextExtension }: ExplainOptions,
  { policies }: LoadedPolicies,
): Promise<AccessRequest['service']> {
  if (service !== undefined || contextExtension !== undefined)
    return { spiffeId: service, contextExtension };
  const { sampleService } = await import('../authz/index.ts');
  const [first, ...others] = policies.map(({ policy }) => sampleService(policy));
  const isOne = others.every(
    (other) =>
      other.spiffeId === first?.spiffeId && other.contextExtension === first?.contextExtension,
  );
  if (first !== undefined && isOne) return first;
  throw new TrustplaneError(
    'ERR_USAGE',
    'the policies are for several services; name one with --service or --context-extension',
  );
}

function httpOf({ request, host, header = [] }: ExplainOptions): AccessRequest['http'] {
  if (request === undefined) return undefined;
  const [, method, target] = /^(\S+) (\S+)$/u.exec(request) ?? [];
  if (method === undefined || target === undefined)
    throw new TrustplaneError('ERR_USAGE', '--request is a method and a path, as in "GET /x"');
  const lines = header.map(parseHeader);
  const headers = (name: string) =>
    lines.filter((line) => line.name === name).map(({ value }) => value);
  return { method, target, host, headers };
}

function parseHeader(line: string): { readonly name: string; readonly value: string } {
  const [, name, value] = /^([^:\s]+):\s*(.*)$/u.exec(line) ?? [];
  if (name === undefined || value === undefined)
    throw new TrustplaneError('ERR_USAGE', '--header is a line, as in "x-ticket: INC-1"');
  return { name: name.toLowerCase(), value };
}

function parseClaims(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Said below.
  }
  throw new TrustplaneError('ERR_USAGE', '--claims is a JSON object');
}

function formatExplanation({ decision, nearest }: Explanation): string {
  const { isAllowed, reason, ruleId, policy, headers, removedHeaders, observed } = decision;
  const fields = formatFields([
    ['decision', isAllowed ? 'allow' : 'deny'],
    ['reason', reason],
    ['rule', ruleId === undefined ? '' : `${policy ?? ''}/${ruleId}`],
    ['sets', [...headers].map(([name, value]) => `${name}: ${value}`).join('; ')],
    ['removes', removedHeaders.join(', ')],
    ['observed', observed.join(', ')],
    ['digest', decision.policyDigest],
  ]);
  const near = nearest.map(
    ({ policy, ruleId, field, message }) => `  ${policy}/${ruleId}: ${field}: ${message}`,
  );
  return near.length === 0 ? fields : [fields, 'nearest rules:', ...near].join('\n');
}
