import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { KeyManager, KeyType } from './key-manager.ts';
import type { RandomBytes } from './serial-number.ts';

const MAX_TTL_SECONDS = 10 * 365 * 86_400;
const DEFAULT_CA_TTL_SECONDS = 24 * 3600;

/** What the authorities of all kinds are made with. */
export interface CaOptions {
  readonly trustDomain: TrustDomain;
  /** Names this server's journals; 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-". */
  readonly serverId: string;
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly keyManager: KeyManager;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Life of an authority; default 24 h, at least 2 s. */
  readonly caTtlSeconds?: number;
  /** Of the next authorities; default EC P-256. */
  readonly keyType?: KeyType;
  /** Other servers sign for the trust domain now; default: none ever does. */
  readonly othersSign?: () => boolean;
  /** Whether another server runs; default: none does. */
  readonly isLive?: (serverId: string) => boolean;
}

/** Fills in the defaults. @throws TrustplaneError ERR_CA_TTL */
export function settleCaOptions<Options extends CaOptions>(
  options: Options,
): Options & Required<Pick<CaOptions, 'caTtlSeconds' | 'keyType' | 'othersSign' | 'isLive'>> {
  const { caTtlSeconds = DEFAULT_CA_TTL_SECONDS, keyType = 'ec-p256' } = options;
  const { othersSign = () => false, isLive = () => false } = options;
  checkTtl('the CA', caTtlSeconds, 2, MAX_TTL_SECONDS);
  return { ...options, caTtlSeconds, keyType, othersSign, isLive };
}

/** @throws TrustplaneError ERR_CA_TTL */
export function checkTtl(
  what: string,
  seconds: number,
  min: number,
  max: number = MAX_TTL_SECONDS,
): void {
  if (Number.isSafeInteger(seconds) && seconds >= min && seconds <= max) return;
  throw new TrustplaneError(
    'ERR_CA_TTL',
    `the lifetime of ${what} is a whole number of seconds from ${min} to ${max}; got ${seconds}`,
  );
}
