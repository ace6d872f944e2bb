import { type EnvoyVersion, isBefore } from '../../authz/rbac/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';

/** What is written was run by Envoys from this one on. */
const OLDEST: EnvoyVersion = [1, 36];

/** A part of a configuration that not every Envoy has. */
export interface Piece {
  readonly name: string;
  readonly since: EnvoyVersion;
}

/** @throws TrustplaneError ERR_USAGE when an Envoy of the version cannot run all of them */
export function checkEnvoyVersion(version: EnvoyVersion, pieces: readonly Piece[]): void {
  const its = version.join('.');
  if (isBefore(version, OLDEST))
    throw new TrustplaneError(
      'ERR_USAGE',
      `Envoy ${its} is too old: what this command writes is tried from ${OLDEST.join('.')} on`,
    );
  const missing = pieces.find(({ since }) => isBefore(version, since));
  if (missing !== undefined)
    throw new TrustplaneError(
      'ERR_USAGE',
      `Envoy ${its} is too old for ${missing.name}: it is there since ${missing.since.join('.')}`,
    );
}
