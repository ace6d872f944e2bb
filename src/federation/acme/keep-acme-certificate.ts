import { X509Certificate } from 'node:crypto';
import type { Log, Metrics } from '../../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import type { TlsIdentity } from '../../wire/index.ts';
import {
  type CertificateMetrics,
  createCertificateMetrics,
  type EndpointIdentity,
} from '../endpoint/endpoint-identity.ts';
import { parseCertificate, type WebCertificate } from '../endpoint/load-certificate.ts';
import { createAccountKey } from './account-key.ts';
import { AcmeFiles } from './acme-files.ts';
import { AcmeError, AcmeSession } from './acme-session.ts';
import { createAcmeTransport } from './acme-transport.ts';
import { buildChallengeCertificate } from './challenge-certificate.ts';
import { type OrderedCertificate, orderCertificate } from './order-certificate.ts';
import { pauseOrThrow } from './pause-or-throw.ts';

const FIRST_RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 4 * 3_600_000;
/** Longest sleep, so that a clock that jumped ahead or a machine that slept is noticed. */
const LONGEST_SLEEP_MS = 3_600_000;

export interface AcmeOptions {
  readonly directoryUrl: string;
  readonly domainNames: readonly string[];
  readonly email: string | undefined;
  /** PEM; undefined: the public authorities vouch for the ACME authority. */
  readonly ca: string | undefined;
  /** For the account key and the certificate. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
}

/** A certificate that an ACME authority issues and renews. */
export interface AcmeCertificate extends EndpointIdentity {
  /** What the authority is to see while it validates a name; else undefined. */
  challenge(): TlsIdentity | undefined;
}

/**
 * Shows the certificate that was kept, and has it renewed when two thirds of its life have passed, at
 * once when there is none for the names. Failures are tried again after a minute, then after twice
 * as long, up to 4 h. The endpoint has to be served when it is started: it shows the proof.
 * @throws TrustplaneError ERR_FILE_*
 */
export async function keepAcmeCertificate(options: AcmeOptions): Promise<AcmeCertificate> {
  const files = new AcmeFiles(options.folder);
  const accountKey = await files.loadAccountKey();
  return new Kept(options, files, accountKey, await files.loadCertificate());
}

class Kept implements AcmeCertificate {
  readonly #options: AcmeOptions;
  readonly #files: AcmeFiles;
  readonly #accountKey: Uint8Array;
  readonly #metrics: CertificateMetrics;
  readonly #closing = new AbortController();
  #certificate: WebCertificate | undefined;
  #challenge: TlsIdentity | undefined;
  #failure: string | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(
    options: AcmeOptions,
    files: AcmeFiles,
    accountKey: Uint8Array,
    certificate: WebCertificate | undefined,
  ) {
    this.#options = options;
    this.#files = files;
    this.#accountKey = accountKey;
    const isFitting = certificate !== undefined && covers(certificate, options.domainNames);
    this.#certificate = isFitting ? certificate : undefined;
    this.#metrics = createCertificateMetrics(options.metrics, () => this.#certificate?.notAfter);
  }

  current(): TlsIdentity {
    if (this.#certificate !== undefined) return this.#certificate.identity;
    const why = 'the ACME authority has not issued a certificate yet';
    throw new TrustplaneError('ERR_ENDPOINT_CERTIFICATE', why);
  }

  challenge(): TlsIdentity | undefined {
    return this.#challenge;
  }

  fault(): string | undefined {
    if (this.#certificate === undefined) return this.#failure ?? 'there is no certificate yet';
    if (this.#options.clock.now() < this.#certificate.notAfter) return this.#failure;
    return `the certificate has expired; ${this.#failure ?? 'it is being renewed'}`;
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#closing.signal.aborted) throw error;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    for (let failures = 0; ; ) {
      for (let left = this.#dueIn(); left > 0; left = this.#dueIn())
        await pauseOrThrow(clock, Math.min(left, LONGEST_SLEEP_MS), signal);
      const retryMs = await this.#renew(failures);
      const isDone = retryMs === undefined && this.#dueIn() > 0;
      // What is to be renewed at once, as with a clock far ahead, would spend the authority's patience.
      await pauseOrThrow(clock, retryMs ?? backoffMs(isDone ? 0 : failures), signal);
      failures = isDone ? 0 : failures + 1;
    }
  }

  #dueIn(): number {
    if (this.#certificate === undefined) return 0;
    const { notBefore, notAfter } = this.#certificate;
    return notBefore + ((notAfter - notBefore) * 2) / 3 - this.#options.clock.now();
  }

  /** @returns how long to wait after a failure; undefined: there was none */
  async #renew(failures: number): Promise<number | undefined> {
    const { log, random } = this.#options;
    try {
      this.#certificate = await this.#order();
      this.#failure = undefined;
      const notAfter = new Date(this.#certificate.notAfter).toISOString();
      log.info({ notAfter }, 'the ACME authority has issued a certificate');
      return undefined;
    } catch (error) {
      this.#closing.signal.throwIfAborted();
      this.#failure = messageOf(error);
      this.#metrics.failed();
      const wantedMs = error instanceof AcmeError ? (error.retryAfterMs ?? 0) : 0;
      const retryMs = Math.max(backoffMs(failures), wantedMs) * (1 + random() / 4);
      const retryAt = new Date(this.#options.clock.now() + retryMs).toISOString();
      log.warn({ error: this.#failure, retryAt }, 'no certificate was had of the ACME authority');
      return retryMs;
    }
  }

  async #order(): Promise<WebCertificate> {
    const { ca, directoryUrl, email, domainNames, clock } = this.#options;
    const { signal } = this.#closing;
    const transport = createAcmeTransport(ca, signal);
    const key = createAccountKey(this.#accountKey);
    const session = await AcmeSession.open(transport, { directoryUrl, key, email });
    const ordered = await orderCertificate({
      session,
      domainNames,
      prove: (name, proof, work) => this.#prove(name, proof, work),
      clock,
      signal,
    });
    const certificate = readOrdered(ordered, domainNames);
    await this.#files.saveCertificate(ordered);
    return certificate;
  }

  async #prove<T>(name: string, keyAuthorization: string, work: () => Promise<T>): Promise<T> {
    this.#challenge = buildChallengeCertificate(name, keyAuthorization, this.#options.clock);
    try {
      return await work();
    } finally {
      this.#challenge = undefined;
    }
  }
}

/** After so many failures in a row before this one. */
function backoffMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS);
}

/** @throws TrustplaneError ERR_ACME_ANSWER */
function readOrdered(
  { chain, key }: OrderedCertificate,
  domainNames: readonly string[],
): WebCertificate {
  try {
    const certificate = parseCertificate(chain, key);
    if (covers(certificate, domainNames)) return certificate;
    throw new Error('it is not for the names that were asked for');
  } catch (cause) {
    const message = `the certificate of the ACME authority cannot be used: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_ACME_ANSWER', message, { cause });
  }
}

/** Whether it is for all of the names; one of other names is of an earlier configuration. */
function covers({ identity }: WebCertificate, domainNames: readonly string[]): boolean {
  const [der] = identity.certificateChain;
  if (der === undefined) return false;
  const leaf = new X509Certificate(der);
  return domainNames.every((name) => leaf.checkHost(name, { subject: 'never' }) !== undefined);
}
