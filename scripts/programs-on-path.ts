import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { containerCommand } from '../test/programs/envoy-image.ts';
import { findEnvoy } from '../test/programs/find-envoy.ts';
import { findNatsServer } from '../test/programs/find-nats-server.ts';

/**
 * Makes a folder for PATH, below `folder`, in which the commands `envoy` and `nats-server` start what
 * was found.
 */
export async function putProgramsInto(folder: string): Promise<string> {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  await putEnvoyInto(bin, folder);
  const { file } = await findNatsServer();
  // A link, and no script: `nats follow` looks for a process of this name.
  if (path.isAbsolute(file)) symlinkSync(file, path.join(bin, 'nats-server'));
  return bin;
}

async function putEnvoyInto(bin: string, folder: string): Promise<void> {
  const envoy = await findEnvoy();
  if (envoy.kind === 'binary' && !path.isAbsolute(envoy.file)) return;
  const seen = [folder, path.join(import.meta.dirname, '..')];
  const command =
    envoy.kind === 'binary' ? [envoy.file] : containerCommand(envoy.image, seen, 'host');
  const script = `#!/bin/sh\nexec ${command.join(' ')} "$@"\n`;
  writeFileSync(path.join(bin, 'envoy'), script, { mode: 0o755 });
}
