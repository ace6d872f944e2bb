import { join } from 'node:path';

export const KEY_SUFFIX = '.key';

/** Whether a file in the folder of sealed keys is one; the seal key may lie beside them. */
export function isKeyFile(folder: string, name: string, sealKeyFile: string): boolean {
  return name.endsWith(KEY_SUFFIX) && join(folder, name) !== sealKeyFile;
}
