import { z } from 'zod';
import { configJsonSchema } from './config.ts';
import type { ConfigFile } from './config-schema.ts';

const node = z.object({
  reloadable: z.boolean().optional(),
  get properties() {
    return z.record(z.string(), node).optional();
  },
});
type SchemaNode = z.infer<typeof node>;

/** The names of all options, such as `server.ca.ttl`; of those alone that can be reloaded if asked. */
export function optionNames(filter: { readonly reloadable?: true } = {}): string[] {
  return namesIn(node.parse(configJsonSchema()), '', filter.reloadable === true);
}

/** What is said of each option, as text that differs where the values do; options that are not mentioned are left out. */
export function saidOptions(said: ConfigFile): ReadonlyMap<string, string> {
  const values = optionNames().map((name): [string, unknown] => [name, valueAt(said, name)]);
  return new Map(
    values.flatMap(([name, value]) => (value === undefined ? [] : [[name, JSON.stringify(value)]])),
  );
}

function namesIn({ properties, reloadable }: SchemaNode, name: string, only: boolean): string[] {
  if (properties === undefined) return only && reloadable !== true ? [] : [name];
  return Object.entries(properties).flatMap(([key, inner]) =>
    namesIn(inner, name === '' ? key : `${name}.${key}`, only),
  );
}

function valueAt(said: ConfigFile, name: string): unknown {
  return name
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined,
      said,
    );
}
