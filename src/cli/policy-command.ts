import { Command } from 'commander';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { loadNamedPolicies } from './named-policies.ts';
import { type OutputOptions, withOutput } from './options.ts';
import { whatCanCommand, whoCanCommand } from './policy-access-command.ts';
import { applyCommand, rollbackCommand } from './policy-apply-command.ts';
import { diffCommand } from './policy-diff-command.ts';
import { explainCommand } from './policy-explain-command.ts';
import { exportCommand } from './policy-export-command.ts';
import { formatCommand } from './policy-format-command.ts';
import { lintCommand } from './policy-lint-command.ts';
import {
  historyCommand,
  policyStatusCommand,
  pruneCommand,
  showCommand,
} from './policy-versions-command.ts';

const EXAMPLES = `
Examples:
  trustplane policy check policies/
  trustplane policy test policies/
  trustplane policy fmt --write policies/
  trustplane policy explain policies/ --as spiffe://example.org/web --request 'GET /v1/charges'
  trustplane policy apply -f policies/ --reason 'CHG-7: billing may read' --wait
  trustplane policy status`;

const CHECK_EXAMPLES = `
Examples:
  trustplane policy check payments.yaml
  trustplane policy check policies/ --output json
  render-policy payments | trustplane policy check -

Each problem is one line: file:line:column: path: what is wrong. Exit code 2 if there is any.`;

const TEST_EXAMPLES = `
Examples:
  trustplane policy test payments.yaml
  trustplane policy test policies/ --output json

The tests of each policy run against the policies of all files together, as a server decides. Each
that fails is one line: file:line:column: what was expected and what came. Exit code 7 if any does.`;

export function policyCommand(io: Io): Command {
  return new Command('policy')
    .description(
      'Check, test and explain authorization policies, and give them to the control plane.',
    )
    .addHelpText('after', EXAMPLES)
    .addCommand(
      withOutput(new Command('check'))
        .description('Check policy files, and show what they come to.')
        .argument('<files...>', 'policy files (YAML), or directories of them')
        .addHelpText('after', CHECK_EXAMPLES)
        .action((files: string[], options: OutputOptions) => check(io, files, options)),
    )
    .addCommand(
      withOutput(new Command('test'))
        .description('Run the tests that policy files contain.')
        .argument('<files...>', 'policy files (YAML), or directories of them')
        .addHelpText('after', TEST_EXAMPLES)
        .action((files: string[], options: OutputOptions) => test(io, files, options)),
    )
    .addCommand(explainCommand(io))
    .addCommand(exportCommand(io))
    .addCommand(formatCommand(io))
    .addCommand(lintCommand(io))
    .addCommand(diffCommand(io))
    .addCommand(whoCanCommand(io))
    .addCommand(whatCanCommand(io))
    .addCommand(applyCommand(io))
    .addCommand(policyStatusCommand(io))
    .addCommand(historyCommand(io))
    .addCommand(showCommand(io))
    .addCommand(rollbackCommand(io))
    .addCommand(pruneCommand(io))
    .addCommand(
      new Command('schema')
        .description('Print the JSON Schema of policies.')
        .addHelpText('after', '\nExamples:\n  trustplane policy schema > policy.schema.json')
        .action(async () => {
          const { policyJsonSchema } = await import('../authz/index.ts');
          io.out(`${JSON.stringify(policyJsonSchema(), null, 2)}\n`);
        }),
    );
}

async function check(io: Io, files: readonly string[], { output }: OutputOptions): Promise<void> {
  const { policies, plan } = await loadNamedPolicies(files);
  const checked = policies.map(({ policy, document }) => ({
    file: document.file,
    name: policy.metadata.name,
    rules: policy.rules.length,
    tests: policy.tests?.length ?? 0,
  }));
  const said = checked.map(
    ({ file, name, rules, tests }) =>
      `${file}: the policy ${name} is valid (rules: ${rules}, tests: ${tests})`,
  );
  const text = [...said, `digest ${plan.digest}`].join('\n');
  print(io, output, { valid: true, policyDigest: plan.digest, policies: checked }, text);
}

async function test(io: Io, files: readonly string[], { output }: OutputOptions): Promise<void> {
  const { runTests } = await import('../authz/index.ts');
  const { systemClock } = await import('../ops/system-clock.ts');
  const { policies, plan } = await loadNamedPolicies(files);
  const failed = policies.flatMap(({ policy, document }) =>
    runTests(plan, policy, systemClock.now()).map(({ index, message }) => {
      const { line, column } = document.position(['tests', index]);
      return `${document.file}:${line}:${column}: ${message}`;
    }),
  );
  const count = policies.reduce((sum, { policy }) => sum + (policy.tests?.length ?? 0), 0);
  if (failed.length > 0)
    throw new TrustplaneError(
      'ERR_POLICY_TEST',
      [...failed, `${count - failed.length} passed, ${failed.length} failed`].join('\n'),
    );
  print(io, output, { passed: count, failed: 0 }, `${count} passed, 0 failed`);
}
