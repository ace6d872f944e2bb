import { runProgram, tryProgram } from './run-program.ts';

/** An image that docker has, or why there is none. */
export type EnvoyImage =
  | { readonly usable: true; readonly image: string }
  | { readonly usable: false; readonly reason: string };

/**
 * The official image of a version, pulled when docker runs and has a way to it.
 * TRUSTPLANE_ENVOY_IMAGE names another one, such as a mirror's.
 */
export async function findEnvoyImage(version: string): Promise<EnvoyImage> {
  const image = process.env['TRUSTPLANE_ENVOY_IMAGE'] ?? `envoyproxy/envoy:v${version}`;
  const server = ['version', '--format', '{{.Server.Version}}'];
  if ((await tryProgram('docker', server, { timeoutMs: 10_000 })) === undefined)
    return { usable: false, reason: 'not running, or not for this user' };
  if ((await tryProgram('docker', ['image', 'inspect', image])) !== undefined)
    return { usable: true, image };
  const pulled = await runProgram('docker', ['pull', '--quiet', image], { timeoutMs: 180_000 });
  if (pulled.code === 0) return { usable: true, image };
  return { usable: false, reason: `${image} cannot be pulled: ${pulled.stderr.trim()}` };
}
