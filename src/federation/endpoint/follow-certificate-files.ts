import { type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Log, Metrics } from '../../ops/index.ts';
import { type Clock, messageOf, type Timer } from '../../spiffe/index.ts';
import type { TlsIdentity } from '../../wire/index.ts';
import {
  type CertificateMetrics,
  createCertificateMetrics,
  type EndpointIdentity,
} from './endpoint-identity.ts';
import { type CertificateFiles, loadCertificate, type WebCertificate } from './load-certificate.ts';

/** Files may be links that are replaced, which no watch of the kernel tells. */
const LOOK_EVERY_MS = 5_000;

export interface FollowedFilesOptions extends CertificateFiles {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** A certificate in files that others renew. */
export interface FollowedFiles extends EndpointIdentity {
  /** Reads them now, changed or not. Never rejects. */
  reload(): Promise<void>;
}

/**
 * Shows the certificate in the files, and within 5 s what they are replaced with; a pair that cannot
 * be used leaves the last good one in place.
 * @throws TrustplaneError ERR_ENDPOINT_CERTIFICATE when the first one cannot be used
 */
export async function followCertificateFiles(
  options: FollowedFilesOptions,
): Promise<FollowedFiles> {
  const seen = await lookAt(options);
  return new Followed(options, await loadCertificate(options), seen);
}

class Followed implements FollowedFiles {
  readonly #options: FollowedFilesOptions;
  readonly #metrics: CertificateMetrics;
  #certificate: WebCertificate;
  /** Of the files that were read last, good or not. */
  #seen: string;
  #refused: string | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: FollowedFilesOptions, certificate: WebCertificate, seen: string) {
    this.#options = options;
    this.#certificate = certificate;
    this.#seen = seen;
    this.#metrics = createCertificateMetrics(options.metrics, () => this.#certificate.notAfter);
  }

  current(): TlsIdentity {
    return this.#certificate.identity;
  }

  fault(): string | undefined {
    if (this.#refused !== undefined) return this.#refused;
    const { notAfter } = this.#certificate;
    if (this.#options.clock.now() < notAfter) return undefined;
    return `the certificate expired at ${new Date(notAfter).toISOString()}`;
  }

  start(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => {
      void this.#look(false).then(() => this.start());
    });
  }

  async reload(): Promise<void> {
    await this.#look(true);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  #look(always: boolean): Promise<void> {
    this.#looking = this.#looking.then(() => this.#take(always));
    return this.#looking;
  }

  async #take(always: boolean): Promise<void> {
    const { log } = this.#options;
    const seen = await lookAt(this.#options);
    if (seen === this.#seen && !always) return;
    this.#seen = seen;
    try {
      this.#certificate = await loadCertificate(this.#options);
      this.#refused = undefined;
      const notAfter = new Date(this.#certificate.notAfter).toISOString();
      log.info({ notAfter }, 'the bundle endpoint has taken up a certificate');
    } catch (error) {
      this.#refused = messageOf(error);
      this.#metrics.failed();
      log.warn({ error: this.#refused }, 'the bundle endpoint keeps its last good certificate');
    }
  }
}

/** A text that differs when a file was replaced or written to. */
async function lookAt({ certificateFile, privateKeyFile }: CertificateFiles): Promise<string> {
  const parts = await Promise.all([describe(certificateFile), describe(privateKeyFile)]);
  return parts.join(' ');
}

async function describe(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join('-');
  } catch (error) {
    return messageOf(error);
  }
}
