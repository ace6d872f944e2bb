import type { X509AuthorityPublisher } from './authority-publisher.ts';
import { type CaOptions, checkTtl, settleCaOptions } from './ca-options.ts';
import type { X509Gate } from './gate.ts';
import { defaultX509SvidProfile, type X509SvidProfile } from './leaf-template.ts';
import type { UpstreamSigner } from './upstream-authority.ts';

const DEFAULT_X509_SVID_TTL_SECONDS = 3600;
const DEFAULT_BACKDATE_SECONDS = 30;

export interface X509CaOptions extends CaOptions {
  readonly ownBundle: X509AuthorityPublisher;
  /** Life of an SVID that asks for no other; default 1 h, at most `caTtlSeconds`. */
  readonly x509SvidTtlSeconds?: number;
  /** How long before its issue a certificate is valid, for clocks that are behind; default 30 s. */
  readonly backdateSeconds?: number;
  readonly profile?: X509SvidProfile;
  /** Who has to know an authority before it signs; without one it becomes active at 5/6 of the life of its predecessor. */
  readonly gate?: X509Gate | undefined;
  /** Signs new authorities; without one they are self-signed. */
  readonly upstream?: UpstreamSigner | undefined;
}

/** Options with the defaults filled in. */
export type SettledOptions = Required<Omit<X509CaOptions, 'gate' | 'upstream'>> &
  Pick<X509CaOptions, 'gate' | 'upstream'>;

/** @throws TrustplaneError ERR_CA_TTL */
export function settleOptions(options: X509CaOptions): SettledOptions {
  const settled = settleCaOptions(options);
  const { caTtlSeconds } = settled;
  const {
    backdateSeconds = DEFAULT_BACKDATE_SECONDS,
    x509SvidTtlSeconds = Math.min(DEFAULT_X509_SVID_TTL_SECONDS, caTtlSeconds),
    profile = defaultX509SvidProfile,
  } = options;
  checkTtl('an X509-SVID', x509SvidTtlSeconds, 1, caTtlSeconds);
  checkTtl('the backdating', backdateSeconds, 0);
  return { ...settled, profile, x509SvidTtlSeconds, backdateSeconds };
}
