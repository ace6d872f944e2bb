import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import type { KeyManager, KeyType } from './key-manager.ts';
import { defaultX509SvidProfile, type X509SvidProfile } from './leaf-template.ts';
import type { RandomBytes } from './serial-number.ts';

const SERVER_ID = /^[A-Za-z0-9_-]{1,64}$/u;
const MAX_TTL_SECONDS = 10 * 365 * 86_400;
const DEFAULT_CA_TTL_SECONDS = 24 * 3600;
const DEFAULT_X509_SVID_TTL_SECONDS = 3600;
const DEFAULT_BACKDATE_SECONDS = 30;

export interface X509CaOptions {
  readonly trustDomain: TrustDomain;
  /** Names this server's journal; 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-". */
  readonly serverId: string;
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly keyManager: KeyManager;
  readonly ownBundle: AuthorityPublisher;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Life of an authority; default 24 h, at least 2 s. */
  readonly caTtlSeconds?: number;
  /** Life of an SVID that asks for no other; default 1 h, at most `caTtlSeconds`. */
  readonly x509SvidTtlSeconds?: number;
  /** How long before its issue a certificate is valid, for clocks that are behind; default 30 s. */
  readonly backdateSeconds?: number;
  /** Of the next authorities; default EC P-256. */
  readonly keyType?: KeyType;
  readonly profile?: X509SvidProfile;
}

/** Options with the defaults filled in and the journal's key in place of the server ID. */
export type SettledOptions = Required<Omit<X509CaOptions, 'serverId'>> & {
  readonly journalKey: string;
};

/** @throws TrustplaneError ERR_CA_TTL, ERR_CA_JOURNAL */
export function settleOptions(options: X509CaOptions): SettledOptions {
  const { caTtlSeconds = DEFAULT_CA_TTL_SECONDS, backdateSeconds = DEFAULT_BACKDATE_SECONDS } =
    options;
  const { x509SvidTtlSeconds = Math.min(DEFAULT_X509_SVID_TTL_SECONDS, caTtlSeconds) } = options;
  checkTtl('the CA', caTtlSeconds, 2, MAX_TTL_SECONDS);
  checkTtl('an X509-SVID', x509SvidTtlSeconds, 1, caTtlSeconds);
  checkTtl('the backdating', backdateSeconds, 0, MAX_TTL_SECONDS);
  return {
    keyType: 'ec-p256',
    profile: defaultX509SvidProfile,
    ...options,
    caTtlSeconds,
    x509SvidTtlSeconds,
    backdateSeconds,
    journalKey: journalKey(options.serverId),
  };
}

function journalKey(serverId: string): string {
  if (SERVER_ID.test(serverId)) return `x509.${serverId}`;
  throw new TrustplaneError(
    'ERR_CA_JOURNAL',
    `a server ID is 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"; got ${JSON.stringify(serverId.slice(0, 80))}`,
  );
}

function checkTtl(what: string, seconds: number, min: number, max: number): void {
  if (Number.isSafeInteger(seconds) && seconds >= min && seconds <= max) return;
  throw new TrustplaneError(
    'ERR_CA_TTL',
    `the lifetime of ${what} is a whole number of seconds from ${min} to ${max}; got ${seconds}`,
  );
}
