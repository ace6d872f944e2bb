import { Command, Option } from 'commander';
import { defaultPaths } from '../app/default-paths.ts';
import type { BootstrapFlags } from '../envoy/index.ts';
import type { Io } from './io.ts';
import { collect } from './options.ts';

interface CommandOptions extends BootstrapFlags {
  readonly output: 'yaml' | 'json';
}

const EXAMPLES = `
Examples:
  trustplane envoy bootstrap --spiffe-id spiffe://example.org/server > envoy.yaml
  trustplane envoy bootstrap --spiffe-id spiffe://example.org/server \\
    --authz-socket /run/trustplane/authz.sock --access-log /var/log/envoy/access.log
  trustplane envoy bootstrap --spiffe-id spiffe://example.org/db --tcp --listen 0.0.0.0:5432 \\
    --upstream 127.0.0.1:15432
  trustplane envoy bootstrap --role client --spiffe-id spiffe://example.org/client \\
    --peer server.example:8443 --peer-id spiffe://example.org/server

The default of --authz is rbac: rules run in Envoy, and what they are not sure of is denied. With
--authz-socket it is rbac+check: what they leave open is asked about. --authz check asks about
everything; --authz none lets those of --caller-id do everything.
Every line says why it is there; those that say nothing of it are what such a listener needs to be one.`;

export function bootstrapCommand(io: Io): Command {
  const { socket } = defaultPaths(io.uid, io.env);
  return new Command('bootstrap')
    .description('Write the configuration of an Envoy that is a sidecar.')
    .requiredOption('--spiffe-id <id>', 'SVID that it presents')
    .addOption(
      new Option('--role <role>', 'takes mTLS for an application, speaks it for one, or both')
        .choices(['server', 'client', 'both'])
        .default('server'),
    )
    .option('--tcp', 'bytes of any protocol in which the client speaks first, instead of HTTP')
    .option('--listen <address>', 'where it takes mTLS (default: 0.0.0.0:8443)')
    .option('--upstream <address>', 'where the application is (default: 127.0.0.1:8080)')
    .option(
      '--caller-id <id>',
      'SPIFFE ID that may connect, may be repeated (default: any)',
      collect,
    )
    .addOption(
      new Option(
        '--authz <how>',
        'who decides (default: rbac, or rbac+check with --authz-socket)',
      ).choices(['none', 'check', 'rbac', 'rbac+check']),
    )
    .option('--authz-socket <address>', 'where Check is asked: a Unix socket, or host:port')
    .option('--authz-id <id>', 'SPIFFE ID of who answers at host:port')
    .option(
      '--policy-name <name>',
      'contextExtension of the policies, beside those of the SPIFFE ID',
    )
    .option(
      '--jwt-provider <form>',
      'issuer=…,audience=…,jwks=<https URL or file> of a login service, may be repeated',
      collect,
    )
    .option('--egress <address>', 'where the application speaks to it (default: 127.0.0.1:8081)')
    .option('--peer <address>', 'where the server is that the application calls')
    .option('--peer-id <id>', 'SPIFFE ID that this server must have, may be repeated', collect)
    .option(
      '--trust <name>',
      'whose certificates are good: ROOTCA, ALL or a trust domain (default: ALL where policies decide, else ROOTCA)',
    )
    .option(
      '--max-connection-duration <duration>',
      "at most the lifetime of SVIDs; the application's own connections live half as long",
      '1h',
    )
    .option('--agent-socket <path>', 'Unix socket of the agent', socket)
    .option('--ads', 'secrets and rules on one stream (ADS)')
    .option('--sotw', 'state of the world instead of delta xDS')
    .option('--access-log <where>', 'stdout, none or a file (default: stdout)')
    .option('--admin <address>', 'admin interface, on this host, or none', '127.0.0.1:9901')
    .option('--node-id <text>', 'name in logs and in `policy status` (default: the SPIFFE ID)')
    .option('--envoy-version <version>', 'refuse what an Envoy of this version cannot run')
    .addOption(
      new Option('-o, --output <format>', 'YAML with comments, or JSON')
        .choices(['yaml', 'json'])
        .default('yaml'),
    )
    .addHelpText('after', EXAMPLES)
    .action((options: CommandOptions, command: Command) => write(io, options, command));
}

async function write(io: Io, flags: CommandOptions, command: Command): Promise<void> {
  const { parseBootstrapFlags, writeBootstrapJson, writeBootstrapYaml } = await import(
    '../envoy/index.ts'
  );
  const options = parseBootstrapFlags(flags);
  io.out(
    flags.output === 'json'
      ? writeBootstrapJson(options)
      : writeBootstrapYaml(options, commandLine(command)),
  );
}

/** The command as it was called, a flag to a line. */
function commandLine(command: Command): readonly string[] {
  const flags = command.options.flatMap((option) => {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli') return [];
    const value: unknown = command.getOptionValue(name);
    if (value === true) return [`${option.long}`];
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((one) => `${option.long} ${quoted(String(one))}`);
  });
  const lines = ['trustplane envoy bootstrap', ...flags];
  return lines.map(
    (line, at) => `${at === 0 ? '' : '  '}${line}${at < lines.length - 1 ? ' \\' : ''}`,
  );
}

/** A word of a shell. */
function quoted(text: string): string {
  return /^[\w./:@=,+-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
