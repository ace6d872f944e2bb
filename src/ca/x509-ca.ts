import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { createAuthority, type X509CaAuthority } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import { createCaMetrics } from './ca-metrics.ts';
import { describeStatus, type X509CaStatus } from './ca-status.ts';
import { createJournal } from './journal.ts';
import type { KeyManager, KeyType, SigningKey } from './key-manager.ts';
import {
  checkX509SvidRequest,
  leafValidity,
  wholeSecond,
  type X509SvidRequest,
} from './leaf-request.ts';
import {
  buildLeafTemplate,
  defaultX509SvidProfile,
  type LeafTemplate,
  type X509SvidProfile,
} from './leaf-template.ts';
import { writeLeaf } from './leaf-writer.ts';
import { KEY_PREFIX, Rotation, type RotationEvent } from './rotation.ts';
import { createSerialNumbers, type RandomBytes } from './serial-number.ts';

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
export interface X509Ca {
  /**
   * Signs at once, on this thread.
   * @throws TrustplaneError ERR_CA_SPIFFE_ID, ERR_CA_DNS_NAME, ERR_CA_TTL, ERR_PUBLIC_KEY, ERR_DER,
   * ERR_CA_CLOCK, ERR_CA_EXPIRED, ERR_CA_CLOSED
   */
  issueX509Svid(request: X509SvidRequest): IssuedX509Svid;
  status(): X509CaStatus;
  /** Called after each step of the rotation; returns the way to stop. */
  onRotation(listener: (event: RotationEvent) => void): () => void;
  /** Ends the rotation after the step under way; nothing is signed any more. */
  close(): Promise<void>;
}

interface Issuer {
  readonly authority: X509CaAuthority;
  readonly template: LeafTemplate;
}

/**
 * Takes up this server's authorities from the journal, or makes the first; resolves when it can sign, or when only
 * a clock that was set back keeps it from signing.
 * @throws TrustplaneError ERR_CA_TTL, ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE and
 * what the key manager throws
 */
export async function createX509Ca(options: X509CaOptions): Promise<X509Ca> {
  const ca = new RotatingX509Ca(options);
  await ca.start();
  return ca;
}

class RotatingX509Ca implements X509Ca {
  readonly #options: X509CaOptions;
  readonly #caTtlSeconds: number;
  readonly #x509SvidTtlSeconds: number;
  readonly #backdateSeconds: number;
  readonly #rotation: Rotation;
  readonly #listeners = new Set<(event: RotationEvent) => void>();
  readonly #makeSerialNumber: (now: number) => Uint8Array;
  readonly #metrics: ReturnType<typeof createCaMetrics>;
  #issuer: Issuer | undefined;
  #isClosed = false;

  constructor(options: X509CaOptions) {
    this.#options = options;
    this.#caTtlSeconds = options.caTtlSeconds ?? DEFAULT_CA_TTL_SECONDS;
    this.#x509SvidTtlSeconds =
      options.x509SvidTtlSeconds ?? Math.min(DEFAULT_X509_SVID_TTL_SECONDS, this.#caTtlSeconds);
    this.#backdateSeconds = options.backdateSeconds ?? DEFAULT_BACKDATE_SECONDS;
    checkTtl('the CA', this.#caTtlSeconds, 2, MAX_TTL_SECONDS);
    checkTtl('an X509-SVID', this.#x509SvidTtlSeconds, 1, this.#caTtlSeconds);
    checkTtl('the backdating', this.#backdateSeconds, 0, MAX_TTL_SECONDS);
    this.#makeSerialNumber = createSerialNumbers(options.random);
    this.#metrics = createCaMetrics(options.metrics);
    this.#rotation = this.#createRotation();
  }

  async start(): Promise<void> {
    await this.#rotation.start();
    const { canSign, failure } = this.status();
    if (canSign) return;
    if (failure === undefined) {
      this.#options.log.warn({}, 'the clock stands before the X.509 authority; nothing is signed');
      return;
    }
    await this.close();
    throw failure.error;
  }

  issueX509Svid(request: X509SvidRequest): IssuedX509Svid {
    checkX509SvidRequest(request, this.#options.trustDomain);
    const { authority, template } = this.#signer();
    const now = this.#options.clock.now();
    if (now >= authority.parsed.notAfter) this.#rotation.pokeUnlessFailing();
    const { notBefore, notAfter } = leafValidity({
      now,
      issuer: authority.parsed,
      ttlSeconds: request.ttlSeconds === 0 ? this.#x509SvidTtlSeconds : request.ttlSeconds,
      backdateSeconds: this.#backdateSeconds,
      notAfterLimit: request.notAfterLimit,
    });
    const serialNumber = this.#makeSerialNumber(now);
    const leaf = writeLeaf(template, { ...request, serialNumber, notBefore, notAfter });
    this.#metrics.issued.inc();
    return {
      certificateChain: [leaf],
      serialNumber: Buffer.from(serialNumber)
        .toString('hex')
        .replace(/^(00)+/u, ''),
      notBefore,
      expiresAt: notAfter,
    };
  }

  status(): X509CaStatus {
    return describeStatus({
      authorities: this.#rotation.authorities,
      step: this.#rotation.step,
      failure: this.#rotation.failure,
      isPublished: (authority) => this.#options.ownBundle.isPublished(authority.certificate),
      signer: this.#issuer?.authority,
      now: this.#options.clock.now(),
    });
  }

  onRotation(listener: (event: RotationEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#rotation.close();
  }

  #signer(): Issuer {
    if (this.#isClosed) {
      throw new TrustplaneError('ERR_CA_CLOSED', 'the certificate authority is closed');
    }
    if (this.#issuer !== undefined) return this.#issuer;
    throw new TrustplaneError('ERR_INTERNAL', 'a certificate authority without an authority');
  }

  #createRotation(): Rotation {
    const { bucket, serverId, trustDomain, keyManager, ownBundle, clock, log } = this.#options;
    return new Rotation({
      journal: createJournal(bucket, journalKey(serverId), trustDomain),
      keyManager,
      publisher: ownBundle,
      clock,
      log,
      makeAuthority: (now) => this.#makeAuthority(now),
      onActive: (authority, key) => this.#activate(authority, key),
      onEvent: (event) => this.#report(event),
      onFailure: () => this.#metrics.failures.inc(),
    });
  }

  async #makeAuthority(now: number): Promise<X509CaAuthority> {
    const { keyManager, trustDomain, keyType = 'ec-p256' } = this.#options;
    const serialNumber = this.#makeSerialNumber(now);
    const keyId = `${KEY_PREFIX}${Buffer.from(serialNumber).toString('hex')}`;
    const certificate = writeCaCertificate({
      key: await keyManager.generateKey(keyId, keyType),
      serialNumber,
      notBefore: wholeSecond(now - this.#backdateSeconds * 1000),
      notAfter: wholeSecond(now + this.#caTtlSeconds * 1000),
      trustDomain,
    });
    return createAuthority({ keyId, state: 'prepared', issuedAt: now, certificate });
  }

  #activate(authority: X509CaAuthority, key: SigningKey): void {
    const { subject, subjectKeyId, notAfter } = authority.parsed;
    const issuer = { key, name: subject.der, keyId: subjectKeyId ?? new Uint8Array() };
    const profile = this.#options.profile ?? defaultX509SvidProfile;
    this.#issuer = { authority, template: buildLeafTemplate(issuer, profile) };
    this.#metrics.activeExpiry.set(notAfter / 1000);
  }

  #report(event: RotationEvent): void {
    this.#metrics.steps.inc({ step: event.type });
    for (const listener of this.#listeners) listener(event);
  }
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
