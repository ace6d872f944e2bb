import type { BootstrapOptions } from './bootstrap-options.ts';
import { buildBootstrap } from './build-bootstrap.ts';
import { plainTree } from './commented-tree.ts';
import { commentLines, printTree } from './print-tree.ts';

/**
 * The configuration as YAML that says why each line is there, and how it was made.
 * @throws TrustplaneError ERR_USAGE
 */
export function writeBootstrapYaml(options: BootstrapOptions, madeBy: readonly string[]): string {
  const made = ['Made by:', ...madeBy.map((line) => `  ${line}`)].map((line) => `# ${line}`);
  const about = commentLines(`${purposeOf(options)}\n\n${needsOf(options)}\n`, 0);
  return `${[...about, ...made].join('\n')}\n\n${printTree(buildBootstrap(options))}`;
}

/**
 * The same without comments, as Envoy reads JSON.
 * @throws TrustplaneError ERR_USAGE
 */
export function writeBootstrapJson(options: BootstrapOptions): string {
  return `${JSON.stringify(plainTree(buildBootstrap(options)), null, 2)}\n`;
}

function purposeOf({ isTcp, inbound, outbound }: BootstrapOptions): string {
  const what = isTcp ? 'bytes' : 'plain HTTP';
  return [
    ...(inbound === undefined
      ? []
      : [`takes mTLS from the mesh and hands ${what} to the application`]),
    ...(outbound === undefined
      ? []
      : [`takes ${what} from the application and speaks mTLS to a server`]),
  ]
    .join(', and ')
    .replace(/^/u, 'Envoy as a sidecar: it ')
    .concat(`. ${rulesOf(inbound)}`)
    .trimEnd();
}

function rulesOf(inbound: BootstrapOptions['inbound']): string {
  if (inbound?.hasRules === true && inbound.check !== undefined)
    return 'It decides by rules that run in it, and asks about what they leave open.';
  if (inbound?.hasRules === true)
    return 'It decides by rules that run in it; what they are not sure of is denied.';
  if (inbound?.check !== undefined) return 'Each decision is asked for.';
  return inbound === undefined ? '' : 'Whoever may connect may do everything.';
}

function needsOf({ spiffeId, inbound }: BootstrapOptions): string {
  const sections = [
    ...(inbound?.hasRules === true ? ['`authz.policies`'] : []),
    ...(inbound?.check === undefined
      ? []
      : [inbound.check.place.kind === 'socket' ? '`authz.socket`' : '`authz.listen`']),
  ];
  const entry = `It needs an entry that gives ${spiffeId.toString()} to this Envoy`;
  if (sections.length === 0) return `${entry}.`;
  return `${entry}, and ${sections.join(' and ')} in the configuration of the agent, or of who is asked.`;
}
