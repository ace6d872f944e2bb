import type { Environment } from '../ops/index.ts';
import { isAsked } from './authz-config.ts';
import { type Config, readConfigDocument } from './config.ts';
import { optionNames, valueAt } from './config-options.ts';
import type { ConfigFile } from './config-schema.ts';
import { loadConfig } from './load-config.ts';

export type Role = 'up' | 'server' | 'agent' | 'authz';

/** What a file comes to, for people: secrets are replaced. */
export interface CheckedConfig {
  readonly config: object;
  /** What the file says, in its own words, with variables replaced, by option. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What is in order, and may be a mistake all the same. */
  readonly notes: readonly string[];
}

const HIDDEN = '[secret]';

/**
 * Checks a file as the commands that run a role do.
 * @throws TrustplaneError ERR_CONFIG_FILE, ERR_YAML, ERR_CONFIG
 */
export function checkConfig(
  file: string,
  role: Role,
  uid: number,
  env: Environment,
): CheckedConfig {
  const { config, said } = loadConfig({ config: file }, uid, env);
  const document = Object(readConfigDocument(file, env).value);
  const names = optionNames({ only: 'secret' });
  const values = names.map((name) => valueAt(document, name));
  const secrets = new Set<unknown>(values.filter((value) => value !== undefined));
  const shown = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_, inner: unknown) => (secrets.has(inner) ? HIDDEN : inner)) ?? 'null',
    );
  const options = optionNames().flatMap((name) => {
    const value = valueAt(document, name);
    return value === undefined ? [] : [[name, shown(value)]];
  });
  return {
    config: Object(shown({ ...config, trustDomain: config.trustDomain.name })),
    options: Object.fromEntries(options),
    notes: notesFor(role, said, config),
  };
}

function notesFor(role: Role, said: ConfigFile, config: Config): string[] {
  const idle = {
    up: [],
    server: ['agent', 'authz'],
    agent: ['server'],
    authz: ['server', 'federation'],
  } as const;
  const notes = idle[role]
    .filter((section) => said[section] !== undefined)
    .map((section) => `the section ${section} says nothing to the role ${role}`);
  if (role === 'authz' && config.authz === undefined)
    notes.push('authz is not set: `trustplane authz run` needs it');
  if (role === 'authz' && config.authz !== undefined && !isAsked(config.authz))
    notes.push('authz has neither socket nor listen: `trustplane authz run` needs one');
  if (role === 'authz' && said.authz?.rbac !== undefined)
    notes.push('authz.rbac says nothing to the role authz: Envoys have their rules from the agent');
  if (role !== 'authz' && said.authz?.facts !== undefined)
    notes.push(`authz.facts says nothing to the role ${role}: facts are in the same process`);
  if (role !== 'agent') return notes;
  if (config.federation.bundleEndpoint !== undefined)
    notes.push('federation.bundleEndpoint says nothing to the role agent');
  if (config.bootstrap === undefined)
    notes.push('agent.bootstrap is not set: the first start finds nothing to trust a server by');
  if (config.bootstrap?.kind === 'insecure')
    notes.push(
      'agent.bootstrap.insecure: the first server that answers is believed, whoever it is',
    );
  if (config.nodeAttestation === undefined)
    notes.push('agent.nodeAttestation is not set: the first start has nothing to join with');
  return notes;
}
