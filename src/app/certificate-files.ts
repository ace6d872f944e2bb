import { createSecureContext } from 'node:tls';
import { type Log, pause, readFileBounded } from '../ops/index.ts';
import { type Clock, decodePem, messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type TlsIdentity, withTlsSettings } from '../wire/index.ts';

/** Files may be links that are replaced, which no watch of the kernel tells. */
const LOOK_EVERY_MS = 5_000;
const MAX_BYTES = 262_144;

export interface CertificateFilesOptions {
  /** PEM, leaf first. */
  readonly certificateFile: string;
  /** PEM, PKCS#8. */
  readonly privateKeyFile: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A certificate in files that others renew; a pair that cannot be used leaves the last good one in place. */
export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  readonly #stop = new AbortController();
  #texts: string;
  #current: TlsIdentity;
  #fault: string | undefined;
  #running: Promise<void> | undefined;

  private constructor(options: CertificateFilesOptions, texts: string, current: TlsIdentity) {
    this.#options = options;
    this.#texts = texts;
    this.#current = current;
  }

  /** @throws TrustplaneError ERR_TLS_IDENTITY */
  static async open(options: CertificateFilesOptions): Promise<CertificateFiles> {
    const [certificate, key] = await readBoth(options);
    const files = new CertificateFiles(options, certificate + key, identityOf(certificate, key));
    files.#running = files.#run();
    return files;
  }

  current(): TlsIdentity {
    return this.#current;
  }

  fault(): string | undefined {
    return this.#fault;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await pause(clock, LOOK_EVERY_MS, signal);
      if (signal.aborted) return;
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      const [certificate, key] = await readBoth(this.#options);
      if (certificate + key === this.#texts) return;
      this.#current = identityOf(certificate, key);
      this.#texts = certificate + key;
      this.#fault = undefined;
      this.#options.log.info({}, 'a certificate to present to proxies');
    } catch (error) {
      const fault = messageOf(error);
      if (fault !== this.#fault) {
        this.#options.log.warn(
          { error: fault },
          'the last good certificate is presented to proxies',
        );
      }
      this.#fault = fault;
    }
  }
}

async function readBoth(options: CertificateFilesOptions): Promise<readonly [string, string]> {
  return [await readText(options.certificateFile), await readText(options.privateKeyFile)];
}

async function readText(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_BYTES);
  if (bytes === undefined) throw new TrustplaneError('ERR_TLS_IDENTITY', `${file} does not exist`);
  return new TextDecoder('latin1').decode(bytes);
}

function identityOf(certificate: string, key: string): TlsIdentity {
  const [privateKey] = decodePem('PRIVATE KEY', key);
  if (privateKey === undefined) throw new TrustplaneError('ERR_TLS_IDENTITY', 'there is no key');
  const identity = { certificateChain: decodePem('CERTIFICATE', certificate), privateKey };
  withTlsSettings(identity, createSecureContext);
  return identity;
}
