import type { JwtCa, X509Ca } from '../ca/index.ts';
import { formatDuration } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';

/** How long new SVIDs live, as configured now; in seconds. */
export interface SvidLives {
  readonly x509Svid: () => number;
  readonly jwtSvid: () => number;
  readonly agentSvid: () => number;
}

/** Follows reloads. */
export function openSvidLives(config: Config, { reloader }: Pick<Process, 'reloader'>): SvidLives {
  let { x509SvidTtlMs, jwtSvidTtlMs, agentSvidTtlMs } = config;
  const options = ['x509Svid', 'jwtSvid', 'agentSvid'].map((kind) => `server.${kind}.ttl`);
  reloader.add(options, (next) => {
    checkLife(next.x509SvidTtlMs, config);
    checkLife(next.jwtSvidTtlMs, config);
    checkLife(next.agentSvidTtlMs, config);
    ({ x509SvidTtlMs, jwtSvidTtlMs, agentSvidTtlMs } = next);
  });
  return {
    x509Svid: () => Math.ceil(x509SvidTtlMs / 1_000),
    jwtSvid: () => Math.ceil(jwtSvidTtlMs / 1_000),
    agentSvid: () => Math.ceil(agentSvidTtlMs / 1_000),
  };
}

/** The signer, with the life that is configured now for requests that name none. */
export function withDefaultLife(
  ca: Pick<X509Ca, 'issueX509Svid'>,
  ttlSeconds: () => number,
): Pick<X509Ca, 'issueX509Svid'> {
  return {
    issueX509Svid: (request) =>
      ca.issueX509Svid({ ...request, ttlSeconds: request.ttlSeconds || ttlSeconds() }),
  };
}

/** The same for tokens. */
export function withDefaultJwtLife(
  jwtCa: Pick<JwtCa, 'issueJwtSvid'>,
  ttlSeconds: () => number,
): Pick<JwtCa, 'issueJwtSvid'> {
  return {
    issueJwtSvid: (request) =>
      jwtCa.issueJwtSvid({ ...request, ttlSeconds: request.ttlSeconds || ttlSeconds() }),
  };
}

/** The life of authorities is what the process was started with, whatever the file says now. */
function checkLife(ttlMs: number, { caTtlMs }: Config): void {
  if (ttlMs <= caTtlMs) return;
  throw new TrustplaneError(
    'ERR_CONFIG',
    `an SVID of ${formatDuration(ttlMs)} would outlive the authorities, which live ${formatDuration(caTtlMs)} until the next start`,
  );
}
