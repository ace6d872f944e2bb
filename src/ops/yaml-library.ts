import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);
let library: { readonly yaml: typeof Yaml } | undefined;

/** Loaded by the first file that is read; many processes read none. */
export function yaml(): typeof Yaml {
  library ??= { yaml: require('yaml') };
  return library.yaml;
}
