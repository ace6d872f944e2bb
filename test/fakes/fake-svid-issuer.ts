import { generateKeyPairSync } from 'node:crypto';
import { buildCaTbs } from '../../src/ca/ca-certificate.ts';
import { keyIdentifier } from '../../src/ca/certificate-extensions.ts';
import { writeName } from '../../src/ca/distinguished-name.ts';
import {
  buildLeafTemplate,
  defaultX509SvidProfile,
  type LeafTemplate,
} from '../../src/ca/leaf-template.ts';
import { buildLeafTbs, type LeafFields } from '../../src/ca/leaf-writer.ts';
import { createSigningKey, type LocalSigningKey } from '../../src/ca/private-key.ts';
import { assembleCertificate } from '../../src/ca/signature-algorithm.ts';
import {
  type Bundle,
  type Clock,
  parseCsr,
  type RegistrationEntry,
  type TrustDomain,
  TrustplaneError,
  type X509Authority,
} from '../../src/spiffe/index.ts';
import type { SvidIssuer, SvidRequest, SvidResult } from '../../src/svid/index.ts';
import { createGate } from './gate.ts';

const DAY_MS = 86_400_000;
const BACKDATE_MS = 30_000;

interface Signer {
  readonly key: LocalSigningKey;
  readonly template: LeafTemplate;
}

/** Signs real X509-SVIDs with authorities in memory, and fails on request. */
export class FakeSvidIssuer implements SvidIssuer {
  /** The sizes of all calls so far. */
  readonly calls: number[] = [];
  readonly trustDomain: TrustDomain;
  /** For entries that don't say. */
  ttlSeconds = 3_600;
  /** Rejects whole calls. */
  failure: Error | undefined;
  /** Answers these entries with an error. */
  readonly refused = new Set<string>();
  /** Changes results on their way back. */
  tamper: ((result: SvidResult) => SvidResult) | undefined;
  issued = 0;
  readonly #clock: Clock;
  readonly #entry: (entryId: string) => RegistrationEntry | undefined;
  #authorities: X509Authority[] = [];
  #signer: Signer;
  #serial = 0;
  #sequence = 0n;
  #gate: Promise<void> = Promise.resolve();

  constructor(
    clock: Clock,
    trustDomain: TrustDomain,
    entry: (entryId: string) => RegistrationEntry | undefined,
  ) {
    this.#clock = clock;
    this.trustDomain = trustDomain;
    this.#entry = entry;
    this.#signer = this.#createAuthority();
  }

  bundle(): Bundle {
    return bundleOf(this.trustDomain, this.#authorities, ++this.#sequence);
  }

  /** Adds an authority to the bundle; the function returned makes it sign. */
  prepareAuthority(): () => void {
    const template = this.#createAuthority();
    return () => {
      this.#signer = template;
    };
  }

  taint(index: number): void {
    this.#authorities = this.#authorities.map((authority, i) =>
      i === index ? { ...authority, tainted: true } : authority,
    );
  }

  revoke(index: number): void {
    this.#authorities = this.#authorities.filter((_, i) => i !== index);
  }

  /** Lets calls wait until the function returned is called. */
  hold(): () => void {
    const gate = createGate();
    this.#gate = gate.passed;
    return () => gate.open();
  }

  async issue(requests: readonly SvidRequest[]): Promise<readonly SvidResult[]> {
    this.calls.push(requests.length);
    const results =
      this.failure === undefined ? requests.map((request) => this.#issueOne(request)) : [];
    await this.#gate;
    if (this.failure !== undefined) throw this.failure;
    return this.tamper === undefined ? results : results.map(this.tamper);
  }

  #issueOne({ entryId, csr }: SvidRequest): SvidResult {
    const entry = this.#entry(entryId);
    if (entry === undefined || this.refused.has(entryId)) {
      return { error: new TrustplaneError('ERR_INTERNAL', `entry ${entryId} is refused`) };
    }
    this.issued++;
    const now = Math.floor(this.#clock.now() / 1000) * 1000;
    const notBefore = now - BACKDATE_MS;
    const expiresAt = now + (entry.x509SvidTtlSeconds || this.ttlSeconds) * 1000;
    const leaf = this.#sign({
      serialNumber: this.#serialNumber(),
      notBefore,
      notAfter: expiresAt,
      spiffeId: entry.spiffeId,
      dnsNames: entry.dnsNames,
      publicKey: parseCsr(csr).publicKey,
    });
    return { certificateChain: [leaf], notBefore, expiresAt };
  }

  #sign(fields: LeafFields): Uint8Array {
    const { key, template } = this.#signer;
    const tbs = buildLeafTbs(template, fields);
    return assembleCertificate(tbs, key.keyType, key.signNow(tbs));
  }

  #createAuthority(): Signer {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const serialNumber = this.#serialNumber();
    const key = createSigningKey(`fake-${this.#serial}`, 'ec-p256', privateKey);
    const notBefore = this.#clock.now() - DAY_MS;
    const notAfter = notBefore + 100 * DAY_MS;
    const { trustDomain } = this;
    const tbs = buildCaTbs({ key, serialNumber, notBefore, notAfter, trustDomain });
    const certificate = assembleCertificate(tbs, key.keyType, key.signNow(tbs));
    this.#authorities.push({ certificate, tainted: false });
    const name = writeName([
      { type: 'organization', value: 'trustplane' },
      { type: 'serialNumber', value: Buffer.from(serialNumber).toString('hex') },
    ]);
    const issuer = { key, name, keyId: keyIdentifier(key.publicKey) };
    return { key, template: buildLeafTemplate(issuer, defaultX509SvidProfile) };
  }

  #serialNumber(): Uint8Array {
    const serialNumber = Buffer.alloc(4);
    serialNumber.writeUInt32BE(++this.#serial);
    return Uint8Array.from(serialNumber);
  }
}

export function bundleOf(
  trustDomain: TrustDomain,
  x509Authorities: readonly X509Authority[],
  sequenceNumber: bigint,
): Bundle {
  return {
    trustDomain,
    x509Authorities: [...x509Authorities],
    jwtAuthorities: [],
    witAuthorities: [],
    sequenceNumber,
    refreshHintSeconds: undefined,
  };
}
