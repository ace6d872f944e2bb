import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { containerCommand } from '../test/programs/envoy-image.ts';
import { findEnvoy } from '../test/programs/find-envoy.ts';

/** Makes a folder for PATH, below `folder`, in which the command `envoy` starts the Envoy that was found. */
export async function putEnvoyInto(folder: string): Promise<string> {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const envoy = await findEnvoy();
  if (envoy.kind === 'binary' && !path.isAbsolute(envoy.file)) return bin;
  const seen = [folder, path.join(import.meta.dirname, '..')];
  const command =
    envoy.kind === 'binary' ? [envoy.file] : containerCommand(envoy.image, seen, 'host');
  const script = `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`;
  writeFileSync(path.join(bin, 'envoy'), script, { mode: 0o755 });
  return bin;
}
