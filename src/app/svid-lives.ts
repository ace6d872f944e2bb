import type { X509Ca } from '../ca/index.ts';
import { formatDuration } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';

/** How long new SVIDs live, as configured now; in seconds. */
export interface SvidLives {
  readonly x509Svid: () => number;
  readonly agentSvid: () => number;
}

/** Follows reloads. */
export function openSvidLives(config: Config, { reloader }: Pick<Process, 'reloader'>): SvidLives {
  let { x509SvidTtlMs, agentSvidTtlMs } = config;
  reloader.add(['server.x509Svid.ttl', 'server.agentSvid.ttl'], (next) => {
    checkLife(next.x509SvidTtlMs, config);
    checkLife(next.agentSvidTtlMs, config);
    ({ x509SvidTtlMs, agentSvidTtlMs } = next);
  });
  return {
    x509Svid: () => Math.ceil(x509SvidTtlMs / 1_000),
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

/** The life of authorities is what the process was started with, whatever the file says now. */
function checkLife(ttlMs: number, { caTtlMs }: Config): void {
  if (ttlMs <= caTtlMs) return;
  throw new TrustplaneError(
    'ERR_CONFIG',
    `an SVID of ${formatDuration(ttlMs)} would outlive the authorities, which live ${formatDuration(caTtlMs)} until the next start`,
  );
}
