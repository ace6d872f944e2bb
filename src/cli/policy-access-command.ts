import { Command } from 'commander';
import type { Access } from '../authz/analysis/index.ts';
import type { Policy } from '../authz/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { type OutputOptions, withOutput } from './options.ts';
import { formatTable } from './table.ts';

interface AccessOptions extends OutputOptions {
  readonly service?: string;
}

const WHO_EXAMPLES = `
Examples:
  trustplane policy who-can 'POST /v1/charges' policies/ --service spiffe://prod.example/ns/payments/sa/api
  trustplane policy who-can 'ANY /v1/**' payments.yaml

One row for each rule by which somebody may do it, the rules that deny a part of that, and a request that is
allowed. Rules that are only observed count for nothing.`;

const WHAT_EXAMPLES = `
Examples:
  trustplane policy what-can spiffe://prod.example/ns/shop/sa/checkout policies/
  trustplane policy what-can 'spiffe://partner.example/**' policies/*.yaml --output json

One row for each rule by which the caller, or one of the callers, may do something.`;

export function whoCanCommand(io: Io): Command {
  return accessCommand('who-can', 'Tell who may do something, and by which rules.')
    .argument('<operation>', 'METHOD /path as in a policy, with patterns if need be')
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .addHelpText('after', WHO_EXAMPLES)
    .action(async (operation: string, files: string[], options: AccessOptions) => {
      const { parseOperation, whoCan } = await import('../authz/analysis/index.ts');
      const asked = parseOperation(operation);
      show(io, options, whoCan(await load(files, options), asked), 'nobody');
    });
}

export function whatCanCommand(io: Io): Command {
  return accessCommand('what-can', 'Tell what a caller may do, and by which rules.')
    .argument('<spiffe-id>', 'SPIFFE ID of the caller, or a pattern')
    .argument('<files...>', 'policy files (YAML), or directories of them')
    .addHelpText('after', WHAT_EXAMPLES)
    .action(async (id: string, files: string[], options: AccessOptions) => {
      const { parseId, whatCan } = await import('../authz/analysis/index.ts');
      const caller = parseId(id);
      show(io, options, whatCan(await load(files, options), caller), 'nothing');
    });
}

function accessCommand(name: string, description: string): Command {
  return withOutput(new Command(name))
    .description(description)
    .option('--service <spiffe-id>', 'only of this service');
}

async function load(
  files: readonly string[],
  { service }: AccessOptions,
): Promise<readonly Policy[]> {
  const { policies } = await loadNamedPolicies(files);
  const all = policies.map(({ policy }) => policy);
  if (service === undefined) return all;
  const { parseId } = await import('../authz/analysis/index.ts');
  const only = parseId(service);
  const meant = all.filter((policy) => 'text' in policy.service && policy.service.matches(service));
  if (meant.length > 0) return meant.map((policy) => ({ ...policy, service: only }));
  throw new TrustplaneError('ERR_USAGE', `no policy is for ${service}`);
}

function show(io: Io, { output }: OutputOptions, found: readonly Access[], none: string): void {
  const rows = found.map(({ service, rule, from, operations, except, witness }) => [
    service.spiffeId ?? service.contextExtension ?? '',
    rule,
    from,
    operations.join(', '),
    except.join(', '),
    witness.text,
  ]);
  const value = found.map(({ witness, ...access }) => ({ ...access, example: witness.test }));
  const titles = ['service', 'rule', 'from', 'operations', 'denied by', 'for example'];
  print(io, output, { access: value }, found.length === 0 ? none : formatTable(titles, rows));
}
