import { Command } from 'commander';
import type { ExplanationView } from '../client/index.ts';
import { formatDuration } from '../ops/duration.ts';
import { systemClock } from '../ops/system-clock.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { resolveUnixSocket } from './endpoint.ts';
import { type Io, print } from './io.ts';
import {
  type AdminOptions,
  collect,
  count,
  type WorkloadOptions,
  withAdminSocket,
  withSocket,
} from './options.ts';
import { formatTable } from './table.ts';

interface ExplainOptions extends AdminOptions, WorkloadOptions {
  readonly pid?: readonly number[];
  readonly container?: string;
  readonly envoy?: string;
  readonly resource?: string;
  readonly spiffeId?: string;
  readonly agent?: string;
  readonly selector?: readonly string[];
  readonly server?: boolean;
  readonly serial?: string;
}

const EXAMPLES = `
Examples:
  trustplane explain --pid 4711
  trustplane explain --envoy sidecar-1 --resource spiffe://example.org/web
  trustplane explain --container 3f4e9a1b2c3d
  trustplane explain --spiffe-id spiffe://example.org/web --pid 4711
  trustplane explain --spiffe-id spiffe://example.org/web --selector unix:uid:1000 \\
    --agent spiffe://example.org/spire/agent/join_token/0f3c
  trustplane explain --serial 019b76daa800c85ea081e413981215e7

The agent of this host is asked, as its own user or root; with --server, --agent, --selector or
--serial the server at --admin-socket. Codes and what to do: docs/reference/explain.md.`;

const VERDICTS: Readonly<Record<string, string | undefined>> = {
  served: 'entitled, and served',
  waiting: 'not served yet',
  refused: 'not entitled',
  entitled: 'entitled, as far as the server knows',
  unknown: 'nothing was found that is in the way',
};

export function explainCommand(io: Io): Command {
  return withSocket(withAdminSocket(new Command('explain'), io), io)
    .description(
      'Explain why a process, a container, an Envoy or a SPIFFE ID has an identity, or not.',
    )
    .option('--pid <pid>', 'a process of this host (repeatable)', collectPid)
    .option('--container <id>', 'the processes of a container, by 12 or more digits of its ID')
    .option('--envoy <node-id>', 'the Envoy that calls itself so')
    .option('--resource <name>', 'a secret that it asks for, by its name')
    .option('--spiffe-id <id>', 'this SPIFFE ID')
    .option('--server', 'ask the server, not the agent')
    .option('--agent <id>', 'what would be at this agent (asks the server)')
    .option(
      '--selector <type:value>',
      'suppose that a workload shows it (asks the server; repeatable)',
      collect,
    )
    .option(
      '--serial <hex>',
      'who got the certificate, and whether it is refused (asks the server)',
    )
    .addHelpText('after', EXAMPLES)
    .action((options: ExplainOptions) => explain(io, options));
}

async function explain(io: Io, options: ExplainOptions): Promise<void> {
  const explanations = await fetchExplanations(io, options);
  print(io, options.output, { explanations }, explanations.map(formatExplanation).join('\n\n'));
}

async function fetchExplanations(
  io: Io,
  options: ExplainOptions,
): Promise<readonly ExplanationView[]> {
  const { pid, container, envoy, resource, spiffeId, agent, selector, server, serial } = options;
  const { explainAtAgent, explainAtServer } = await import('../client/index.ts');
  const isOfHost = pid !== undefined || container !== undefined || envoy !== undefined;
  const isOfServer = server === true || [agent, selector, serial].some((one) => one !== undefined);
  if (isOfHost && isOfServer)
    throw usage(
      '--pid, --container and --envoy are for the agent; --server, --agent, --selector and --serial for the server',
    );
  const isOfIdentity = spiffeId !== undefined || selector !== undefined;
  if (serial !== undefined && (isOfIdentity || agent !== undefined))
    throw usage('--serial stands alone: the certificate says whose it is');
  if (!isOfHost && !isOfIdentity && serial === undefined)
    throw usage('one of --pid, --container, --envoy, --spiffe-id and --serial is needed');
  if (isOfServer) {
    const question = {
      spiffeId: spiffeId ?? '',
      agentId: agent ?? '',
      selectors: selector ?? [],
      serialNumber: serial ?? '',
    };
    return await explainAtServer(options.adminSocket, question);
  }
  return await explainAtAgent(resolveUnixSocket(io, options.socket), {
    pids: pid ?? [],
    containerId: container?.toLowerCase() ?? '',
    envoyNodeId: envoy ?? '',
    resourceName: resource ?? '',
    spiffeId: spiffeId ?? '',
  });
}

function formatExplanation({ subject, verdict, findings, facts }: ExplanationView): string {
  const causes = findings.map(({ code, message, nextStep }) => {
    const next = nextStep === '' ? '' : `\n  next: ${nextStep}`;
    return `${code}: ${message}${next}`;
  });
  const known = facts.map(({ source, text, at }) => [source, ageOf(at), text]);
  const table = known.length === 0 ? '' : `\n\n${formatTable(['says', 'age', 'what'], known)}`;
  const heading = `${subject}: ${VERDICTS[verdict] ?? verdict}`;
  return `${[heading, ...causes].join('\n')}${table}`;
}

function ageOf(at: string | null): string {
  if (at === null) return '';
  const ms = systemClock.now() - Date.parse(at);
  return ms < 1_000 ? 'now' : formatDuration(Math.floor(ms / 1_000) * 1_000);
}

function collectPid(text: string, previous: readonly number[] | undefined): readonly number[] {
  return [...(previous ?? []), count(1)(text)];
}

function usage(message: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', message);
}
