import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { readFileBounded, writeFileAtomic } from '../../ops/index.ts';
import { generateP256KeyPair } from '../../spiffe/index.ts';
import { parseCertificate, type WebCertificate } from '../endpoint/load-certificate.ts';
import type { OrderedCertificate } from './order-certificate.ts';

const MAX_BYTES = 262_144;
const ACCOUNT_FILE = 'account.key';
/** Key and chain in one file, so that one never is without the other. */
const CERTIFICATE_FILE = 'certificate.pem';
const CHAIN_BEGINS = '-----BEGIN CERTIFICATE-----';

/** What is kept of ACME: files of mode 0600 in a folder of their own, each replaced whole. */
export class AcmeFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** PKCS#8 DER of the account key, made when there is none. @throws TrustplaneError ERR_FILE_* */
  async loadAccountKey(): Promise<Uint8Array> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const known = await readFileBounded(this.#path(ACCOUNT_FILE), MAX_BYTES);
    if (known !== undefined) return known;
    const { privateKey } = generateP256KeyPair();
    await this.#write(ACCOUNT_FILE, privateKey);
    return privateKey;
  }

  /** Undefined when there is none that can be used. */
  async loadCertificate(): Promise<WebCertificate | undefined> {
    try {
      const bytes = await readFileBounded(this.#path(CERTIFICATE_FILE), MAX_BYTES);
      if (bytes === undefined) return undefined;
      const text = Buffer.from(bytes).toString('latin1');
      const at = text.indexOf(CHAIN_BEGINS);
      return parseCertificate(text.slice(at), text.slice(0, at));
    } catch {
      return undefined;
    }
  }

  /** @throws TrustplaneError ERR_FILE_WRITE, and then keeps what was there */
  async saveCertificate({ chain, key }: OrderedCertificate): Promise<void> {
    await this.#write(CERTIFICATE_FILE, Buffer.from(key + chain, 'latin1'));
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    await writeFileAtomic(this.#path(name), bytes, { mode: 0o600 });
  }

  #path(name: string): string {
    return path.join(this.#folder, name);
  }
}
