import { TrustplaneError } from '../spiffe/index.ts';
import { keyPrefixOf } from './authority.ts';
import type { AuthorityPublisher, X509AuthorityPublisher } from './authority-publisher.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import { type CaMetrics, caMetricsOf } from './ca-metrics.ts';
import type { Gate, X509Gate } from './gate.ts';
import { createJournal } from './journal.ts';
import type { SigningKey } from './key-manager.ts';
import {
  checkX509SvidRequest,
  leafValidity,
  wholeSecond,
  type X509SvidRequest,
} from './leaf-request.ts';
import { buildLeafTemplate, type LeafTemplate } from './leaf-template.ts';
import { writeLeaf } from './leaf-writer.ts';
import { type AuthorityControl, ManagedAuthorities } from './managed-authorities.ts';
import { createSerialNumbers } from './serial-number.ts';
import { createX509Authority, type X509CaAuthority } from './x509-authority.ts';
import { type SettledOptions, settleOptions, type X509CaOptions } from './x509-ca-options.ts';
import { x509JournalCodec } from './x509-journal.ts';

export interface IssuedX509Svid {
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** Lower-case hex, an even number of digits. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Signs X509-SVIDs with authorities that it rotates (design D3, D4, D10). */
export interface X509Ca extends AuthorityControl {
  /**
   * Signs at once, on this thread, with a key of this process: all checks and the signature are made
   * before this returns its promise.
   * @throws TrustplaneError ERR_CA_SPIFFE_ID, ERR_CA_DNS_NAME, ERR_CA_TTL, ERR_PUBLIC_KEY, ERR_DER,
   * ERR_CA_CLOCK, ERR_CA_EXPIRED, ERR_CA_CLOSED
   */
  issueX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid>;
  /** Ends the rotation after the step under way; nothing is signed any more. */
  close(): Promise<void>;
}

/**
 * Takes up this server's authorities from the journal, or makes the first; resolves when it can sign, or when only
 * a clock that was set back keeps it from signing.
 * @throws TrustplaneError ERR_CA_TTL, ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE and
 * what the key manager throws
 */
export async function createX509Ca(options: X509CaOptions): Promise<X509Ca> {
  const ca = new RotatingX509Ca(settleOptions(options));
  await ca.start();
  return ca;
}

interface Issuer {
  readonly authority: X509CaAuthority;
  readonly template: LeafTemplate;
}

class RotatingX509Ca extends ManagedAuthorities<X509CaAuthority> implements X509Ca {
  readonly #options: SettledOptions;
  readonly #makeSerialNumber: (now: number) => Uint8Array;
  readonly #metrics: CaMetrics;
  #issuer: Issuer | undefined;

  constructor(options: SettledOptions) {
    const { bucket, serverId, trustDomain, ownBundle } = options;
    const metrics = caMetricsOf(options.metrics);
    super({
      ...options,
      kind: 'x509',
      journal: createJournal(bucket, serverId, x509JournalCodec(trustDomain)),
      publisher: publisherOver(ownBundle),
      gate: options.gate && gateOver(options.gate, ownBundle),
      metrics,
    });
    this.#options = options;
    this.#makeSerialNumber = createSerialNumbers(options.random);
    this.#metrics = metrics;
  }

  async issueX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid> {
    checkX509SvidRequest(request, this.#options.trustDomain);
    const { authority, template } = this.#requireIssuer();
    const now = this.#options.clock.now();
    this.checkTime(authority, now);
    const { notBefore, notAfter } = leafValidity({
      now,
      issuer: authority,
      ttlSeconds: request.ttlSeconds === 0 ? this.#options.x509SvidTtlSeconds : request.ttlSeconds,
      backdateSeconds: this.#options.backdateSeconds,
      notAfterLimit: request.notAfterLimit,
      kind: 'x509',
    });
    const serialNumber = this.#makeSerialNumber(now);
    const leaf = await writeLeaf(template, { ...request, serialNumber, notBefore, notAfter });
    this.#metrics.x509Svids.inc();
    return {
      certificateChain: [leaf],
      serialNumber: Buffer.from(serialNumber)
        .toString('hex')
        .replace(/^(00)+/u, ''),
      notBefore,
      expiresAt: notAfter,
    };
  }

  #requireIssuer(): Issuer {
    this.requireOpen();
    if (this.#issuer !== undefined) return this.#issuer;
    throw new TrustplaneError('ERR_INTERNAL', 'a certificate authority without an authority');
  }

  protected override async makeAuthority(now: number): Promise<X509CaAuthority> {
    const { keyManager, trustDomain, keyType, caTtlSeconds, backdateSeconds } = this.#options;
    const serialNumber = this.#makeSerialNumber(now);
    const keyId = `${keyPrefixOf('x509')}${Buffer.from(serialNumber).toString('hex')}`;
    const certificate = await writeCaCertificate({
      key: await keyManager.generateKey(keyId, keyType),
      serialNumber,
      notBefore: wholeSecond(now - backdateSeconds * 1000),
      notAfter: wholeSecond(now + caTtlSeconds * 1000),
      trustDomain,
    });
    return createX509Authority({ keyId, state: 'prepared', issuedAt: now, certificate });
  }

  protected override useAuthority(authority: X509CaAuthority, key: SigningKey): void {
    const { subject, subjectKeyId } = authority.parsed;
    const issuer = { key, name: subject.der, keyId: subjectKeyId ?? new Uint8Array() };
    this.#issuer = { authority, template: buildLeafTemplate(issuer, this.#options.profile) };
  }
}

function publisherOver(bundle: X509AuthorityPublisher): AuthorityPublisher<X509CaAuthority> {
  return {
    find: ({ certificate }) => bundle.find(certificate),
    publish: ({ certificate }) => bundle.publish(certificate),
    withdraw: ({ certificate }) => bundle.withdraw(certificate),
    taint: ({ certificate }) => bundle.taint(certificate),
  };
}

/** What is not in the bundle yet is known to nobody. */
function gateOver(
  gate: X509Gate,
  bundle: Pick<X509AuthorityPublisher, 'find'>,
): Gate<X509CaAuthority> {
  return {
    check({ authorityId, certificate }) {
      const publishedAt = bundle.find(certificate)?.publishedAt;
      if (publishedAt !== undefined) return gate.check({ authorityId, certificate, publishedAt });
      return { isOpen: false, behind: [{ who: 'the bundle', why: 'does not hold it yet' }] };
    },
    watch: (listener) => gate.watch(listener),
  };
}
