import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { findEnvoy } from '../test/programs/find-envoy.ts';

/** Makes a folder for PATH, below `folder`, in which the command `envoy` starts the Envoy that was found. */
export async function putEnvoyInto(folder: string): Promise<string> {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const envoy = await findEnvoy();
  if (envoy.kind === 'binary' && !path.isAbsolute(envoy.file)) return bin;
  const command = envoy.kind === 'binary' ? envoy.file : dockerRun(envoy.image, folder);
  writeFileSync(path.join(bin, 'envoy'), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  return bin;
}

/** The container sees this machine's network and the folder, nothing else. */
function dockerRun(image: string, folder: string): string {
  const user = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const see = `--network host --volume ${folder}:${folder} --workdir ${folder}`;
  return `docker run --rm --user ${user} ${see} --entrypoint envoy ${image}`;
}
