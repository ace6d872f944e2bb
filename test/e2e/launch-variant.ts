import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from '../programs/launch-envoy.ts';
import type { Mesh } from '../programs/launch-mesh.ts';

/** A server Envoy like the mesh's with an edited bootstrap, on a socket of its own. */
export async function launchVariant(
  mesh: Mesh,
  edit: (bootstrap: string) => string,
): Promise<{ readonly envoy: RunningEnvoy; readonly inboundSocket: string }> {
  const original = await readFile(path.join(mesh.folder, 'server.yaml'), 'utf8');
  const edited = edit(original);
  if (edited === original) throw new Error('the edit changed nothing');
  const name = 'variant';
  const inboundSocket = path.join(mesh.folder, `${name}.sock`);
  const bootstrap = edited
    .replaceAll(mesh.pair.inboundSocket, inboundSocket)
    .replaceAll(adminSocketOf(mesh.folder, 'server'), adminSocketOf(mesh.folder, name));
  return { envoy: await launchEnvoy({ folder: mesh.folder, name, bootstrap }), inboundSocket };
}
