import { TrustplaneError } from '../spiffe/index.ts';
import { createAuthority, type X509CaAuthority } from './authority.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import { createCaMetrics } from './ca-metrics.ts';
import { describeStatus, type X509CaStatus } from './ca-status.ts';
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
import { KEY_PREFIX, Rotation, type RotationEvent } from './rotation.ts';
import { createSerialNumbers } from './serial-number.ts';
import { type SettledOptions, settleOptions, type X509CaOptions } from './x509-ca-options.ts';

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
   * Signs at once, on this thread, with a key of this process: all checks and the signature are made
   * before this returns its promise.
   * @throws TrustplaneError ERR_CA_SPIFFE_ID, ERR_CA_DNS_NAME, ERR_CA_TTL, ERR_PUBLIC_KEY, ERR_DER,
   * ERR_CA_CLOCK, ERR_CA_EXPIRED, ERR_CA_CLOSED
   */
  issueX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid>;
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
  readonly #options: SettledOptions;
  readonly #rotation: Rotation;
  readonly #listeners = new Set<(event: RotationEvent) => void>();
  readonly #makeSerialNumber: (now: number) => Uint8Array;
  readonly #metrics: ReturnType<typeof createCaMetrics>;
  #issuer: Issuer | undefined;
  #isClosed = false;

  constructor(options: X509CaOptions) {
    this.#options = settleOptions(options);
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

  async issueX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid> {
    checkX509SvidRequest(request, this.#options.trustDomain);
    const { authority, template } = this.#signer();
    const now = this.#options.clock.now();
    const { notBefore: begin, notAfter: end } = authority.parsed;
    if (now < begin || now >= end) this.#rotation.pokeUnlessFailing();
    const { notBefore, notAfter } = leafValidity({
      now,
      issuer: authority.parsed,
      ttlSeconds: request.ttlSeconds === 0 ? this.#options.x509SvidTtlSeconds : request.ttlSeconds,
      backdateSeconds: this.#options.backdateSeconds,
      notAfterLimit: request.notAfterLimit,
    });
    const serialNumber = this.#makeSerialNumber(now);
    const leaf = await writeLeaf(template, { ...request, serialNumber, notBefore, notAfter });
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
      isPublished: (authority) => this.#options.ownBundle.find(authority.certificate) !== undefined,
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
    const { bucket, journalKey, trustDomain, keyManager, ownBundle, clock, log } = this.#options;
    return new Rotation({
      journal: createJournal(bucket, journalKey, trustDomain),
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
    const { keyManager, trustDomain, keyType, caTtlSeconds, backdateSeconds } = this.#options;
    const serialNumber = this.#makeSerialNumber(now);
    const keyId = `${KEY_PREFIX}${Buffer.from(serialNumber).toString('hex')}`;
    const certificate = await writeCaCertificate({
      key: await keyManager.generateKey(keyId, keyType),
      serialNumber,
      notBefore: wholeSecond(now - backdateSeconds * 1000),
      notAfter: wholeSecond(now + caTtlSeconds * 1000),
      trustDomain,
    });
    return createAuthority({ keyId, state: 'prepared', issuedAt: now, certificate });
  }

  #activate(authority: X509CaAuthority, key: SigningKey): void {
    const { subject, subjectKeyId, notAfter } = authority.parsed;
    const issuer = { key, name: subject.der, keyId: subjectKeyId ?? new Uint8Array() };
    this.#issuer = { authority, template: buildLeafTemplate(issuer, this.#options.profile) };
    this.#metrics.activeExpiry.set(notAfter / 1000);
  }

  #report(event: RotationEvent): void {
    this.#metrics.steps.inc({ step: event.type });
    for (const listener of this.#listeners) listener(event);
  }
}
