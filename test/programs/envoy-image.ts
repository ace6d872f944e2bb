import { fileURLToPath } from 'node:url';
import { runProgram } from './run-program.ts';

/** An image that the container engine has, or why there is none. */
export type EnvoyImage =
  | { readonly usable: true; readonly image: string }
  | { readonly usable: false; readonly reason: string };

const obtainer = fileURLToPath(new URL('docker/obtain-image.ts', import.meta.url));
const runner = fileURLToPath(new URL('docker/run-container.ts', import.meta.url));

/** Enough to pull 60 MB slowly; an engine without a network says so in seconds. */
const timeoutMs = 180_000;

/**
 * The ways to an image, best first: the one that is wanted and no other, else the official one if
 * it is there, one made of a local binary, and the official one pulled.
 */
export function waysToImage(options: {
  readonly version: string;
  /** An image's name that somebody chose. */
  readonly wanted?: string | undefined;
  /** The file of an Envoy that runs on this machine. */
  readonly binary?: string | undefined;
}): readonly string[] {
  const { version, wanted, binary } = options;
  if (wanted !== undefined && wanted !== '') return [`pull:${wanted}`];
  const official = `envoyproxy/envoy:v${version}`;
  const build = binary === undefined ? [] : [`build:${binary}`];
  return [`present:${official}`, ...build, `pull:${official}`];
}

/** Takes the first way that works, if a container engine runs. Needs no command line of docker's. */
export async function findEnvoyImage(ways: readonly string[]): Promise<EnvoyImage> {
  try {
    const finished = await runProgram(process.execPath, [obtainer, ...ways], { timeoutMs });
    if (finished.code !== 0) return { usable: false, reason: finished.stderr.trim() };
    const { image, reason }: { image?: string; reason?: string } = JSON.parse(finished.stdout);
    if (image === undefined) return { usable: false, reason: reason ?? 'no reason given' };
    return { usable: true, image };
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError')
      return { usable: false, reason: `no answer in ${timeoutMs / 1000} s` };
    throw error;
  }
}

/**
 * The command line that runs an image's Envoy with the arguments after it. It sees some folders and
 * by default no network.
 */
export function containerCommand(
  image: string,
  folders: readonly string[],
  network: 'none' | 'host' = 'none',
): readonly [string, ...string[]] {
  return [process.execPath, runner, network, image, folders.join(':')];
}
