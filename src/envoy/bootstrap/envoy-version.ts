import { quote, TrustplaneError } from '../../spiffe/index.ts';

/** Such as 1.40; patch releases make no difference. */
export interface EnvoyVersion {
  readonly major: number;
  readonly minor: number;
}

/** What is written was run by Envoys from this one on. */
const OLDEST: EnvoyVersion = { major: 1, minor: 36 };

/** A part of a configuration that not every Envoy has. */
export interface Piece {
  readonly name: string;
  readonly since: EnvoyVersion;
}

/** @throws TrustplaneError ERR_USAGE */
export function parseEnvoyVersion(text: string): EnvoyVersion {
  const [, major, minor] = /^v?(\d{1,3})\.(\d{1,4})(?:\.\d{1,4})?(?:-dev)?$/u.exec(text) ?? [];
  if (major === undefined || minor === undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `--envoy-version is a version such as 1.40; got ${quote(text)}`,
    );
  return { major: Number(major), minor: Number(minor) };
}

/** @throws TrustplaneError ERR_USAGE when an Envoy of the version cannot run all of them */
export function checkEnvoyVersion(version: EnvoyVersion, pieces: readonly Piece[]): void {
  if (isBefore(version, OLDEST))
    throw new TrustplaneError(
      'ERR_USAGE',
      `Envoy ${format(version)} is too old: what this command writes is tried from ${format(OLDEST)} on`,
    );
  const missing = pieces.find(({ since }) => isBefore(version, since));
  if (missing !== undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `Envoy ${format(version)} is too old for ${missing.name}: it is there since ${format(missing.since)}`,
    );
}

function isBefore(left: EnvoyVersion, right: EnvoyVersion): boolean {
  return left.major === right.major ? left.minor < right.minor : left.major < right.major;
}

function format({ major, minor }: EnvoyVersion): string {
  return `${major}.${minor}`;
}
