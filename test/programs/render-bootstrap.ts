import { readFile } from 'node:fs/promises';
import path from 'node:path';

const folder = path.join(import.meta.dirname, '..', '..', 'envoy');

/** The bootstraps that operators copy. */
export const bootstrapNames = [
  'server-sidecar',
  'authorized-sidecar',
  'authorized-users',
  'authorized-tcp',
  'client-sidecar',
  'delta-sds',
] as const;
export type BootstrapName = (typeof bootstrapNames)[number];

/**
 * A bootstrap from `envoy/` with values changed as an operator would: only in the lines marked
 * CHANGE. A key `host:port` names an address and its value the path of a Unix socket instead; any
 * other key is replaced literally. Throws when a key is nowhere.
 */
export async function renderBootstrap(
  name: BootstrapName,
  changes: Readonly<Record<string, string>>,
): Promise<string> {
  const original = (await readFile(path.join(folder, `${name}.yaml`), 'utf8')).split('\n');
  let lines = original;
  for (const [from, to] of Object.entries(changes).map(asText)) {
    const changed = lines.map((line) =>
      line.endsWith('# CHANGE') ? line.replaceAll(from, () => to) : line,
    );
    if (!original.some((line) => line.endsWith('# CHANGE') && line.includes(from)))
      throw new Error(`envoy/${name}.yaml has no line marked CHANGE with ${from}`);
    lines = changed;
  }
  return lines.join('\n');
}

function asText([key, value]: [string, string]): [string, string] {
  const address = key.match(/^([\d.]+):(\d+)$/);
  if (address === null) return [key, value];
  return [
    `socket_address: { address: ${address[1]}, port_value: ${address[2]} }`,
    `pipe: { path: ${value} }`,
  ];
}
