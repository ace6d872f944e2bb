import { type SpiffeId, TrustplaneError } from '../spiffe/index.ts';

/** The caller has no identity, or not the one it asked for. */
export function noIdentity(asked?: SpiffeId): TrustplaneError {
  return new TrustplaneError(
    'ERR_WORKLOAD_NO_IDENTITY',
    asked === undefined
      ? 'no identity issued: no registration entry matches this process; on this host `trustplane explain --pid PID` says why'
      : `no identity issued: no registration entry gives this process ${asked.toString()}`,
  );
}

export function processGone(): TrustplaneError {
  return new TrustplaneError('ERR_WORKLOAD_GONE', 'the process that asked has exited');
}
