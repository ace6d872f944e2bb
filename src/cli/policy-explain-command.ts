import { Command, Option } from 'commander';
import type { LoadedPolicies } from '../app/load-policies.ts';
import type { Explanation } from '../authz/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { buildRequest, type RequestOptions } from './explained-request.ts';
import { Finished, type Io, print } from './io.ts';
import { missingPolicy } from './missing-policy.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { collect, count, instantSeconds, type OutputOptions, withOutput } from './options.ts';
import { formatFields } from './table.ts';

/** Of an access log, shown each by itself. */
const MAX_MISTAKES = 20;

interface ExplainOptions extends OutputOptions, RequestOptions {
  readonly decision?: string;
  readonly log?: string;
  readonly accessLog?: string;
}

const EXAMPLES = `
Examples:
  trustplane policy explain payments.yaml --as spiffe://example.org/web --request 'GET /v1/charges'
  trustplane policy explain policies/ --service spiffe://example.org/api --request 'GET /'
  trustplane policy explain ledger.yaml --as spiffe://example.org/web --request 'POST /v2/entries' \\
    --claims '{"iss":"https://sso.example","sub":"ada","groups":["ledger-writers"]}'
  trustplane policy explain policies/ --decision 9f2c51d07ab3-1x --log decisions.jsonl
  trustplane policy explain policies/ --access-log 'rbac_access_denied_matched_policy[no-export]'
  trustplane policy explain policies/ --access-log access.jsonl --output json

Exit code 0 whether it is allowed or denied, and whether Envoy and the engine agree; 2 if a line of an access log is
none. Without --as the caller is not authenticated.`;

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
    .option(
      '--access-log <line>',
      'what Envoy did: a line of its access log, the metadata of RBAC, a file of such lines, or -',
    )
    .addHelpText('after', EXAMPLES)
    .action((files: string[], options: ExplainOptions) => run(io, files, options));
}

async function run(io: Io, files: readonly string[], options: ExplainOptions): Promise<void> {
  const loaded = await loadNamedPolicies(files);
  if (options.accessLog !== undefined) return await runLog(io, loaded, options.accessLog, options);
  const { explain } = await import('../authz/index.ts');
  const asked = { ...(await loggedOptions(options)), ...options };
  const request = await buildRequest(asked, loaded);
  const explanation = explain(loaded.plan, request);
  const { decision, nearest } = explanation;
  const value = { ...decision, headers: Object.fromEntries(decision.headers), nearest };
  const isMissing = decision.reason === 'policy_missing';
  const why = isMissing ? missingPolicy(request.service, loaded.policies) : '';
  print(io, options.output, value, formatExplanation(explanation, why));
}

/** What Envoy did beside what the engine says; those that differ first. */
async function runLog(
  io: Io,
  loaded: LoadedPolicies,
  source: string,
  options: ExplainOptions,
): Promise<void> {
  if (options.decision !== undefined || options.log !== undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      '--access-log is of Envoy; --decision and --log of Check',
    );
  const { readAccessLog } = await import('./access-log-lines.ts');
  const { AccessLogExplainer } = await import('./explain-access-log.ts');
  const { formatEnvoyExplanations, sortExplanations } = await import('./access-log-text.ts');
  const { lines, mistakes } = await readAccessLog(source);
  const explainer = new AccessLogExplainer(loaded, options);
  const all = [];
  for (const { number, entry } of lines)
    all.push(await explainer.explain(number, entry, lines.length === 1));
  const sorted = sortExplanations(all);
  print(io, options.output, { lines: sorted, mistakes }, formatEnvoyExplanations(sorted));
  for (const mistake of mistakes.slice(0, MAX_MISTAKES)) io.err(`trustplane: ${mistake}\n`);
  if (mistakes.length > MAX_MISTAKES)
    io.err(`trustplane: and ${mistakes.length - MAX_MISTAKES} lines more that are none\n`);
  if (mistakes.length > 0) throw new Finished(2);
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

function formatExplanation({ decision, nearest }: Explanation, why: string): string {
  const { isAllowed, reason, ruleId, policy, headers, removedHeaders, observed } = decision;
  const fields = formatFields([
    ['decision', isAllowed ? 'allow' : 'deny'],
    ['reason', reason],
    ['why', why],
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
