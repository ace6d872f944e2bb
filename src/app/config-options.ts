import { z } from 'zod';
import { configJsonSchema } from './config.ts';
import type { ConfigFile } from './config-schema.ts';

const node = z.object({
  reloadable: z.boolean().optional(),
  secret: z.boolean().optional(),
  get properties() {
    return z.record(z.string(), node).optional();
  },
});
type SchemaNode = z.infer<typeof node>;

type Mark = 'reloadable' | 'secret';

/** The names of all options, such as `server.ca.ttl`, or of those alone that have the mark. */
export function optionNames(filter: { readonly only?: Mark } = {}): string[] {
  return namesIn(node.parse(configJsonSchema()), '', filter.only);
}

/** What is said of each option, as text that differs where the values do; options that are not mentioned are left out. */
export function saidOptions(said: ConfigFile): ReadonlyMap<string, string> {
  const values = optionNames().map((name): [string, unknown] => [name, valueAt(said, name)]);
  return new Map(
    values.flatMap(([name, value]) => (value === undefined ? [] : [[name, JSON.stringify(value)]])),
  );
}

function namesIn(inner: SchemaNode, name: string, only: Mark | undefined): string[] {
  if (inner.properties === undefined)
    return only === undefined || inner[only] === true ? [name] : [];
  return Object.entries(inner.properties).flatMap(([key, next]) =>
    namesIn(next, name === '' ? key : `${name}.${key}`, only),
  );
}

/** What is said of an option; undefined: nothing. */
export function valueAt(said: object, name: string): unknown {
  return name
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined,
      said,
    );
}
