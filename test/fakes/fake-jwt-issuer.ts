import { generateKeyPairSync } from 'node:crypto';
import { writeJwtSvid } from '../../src/ca/jwt-token.ts';
import { createSigningKey, type LocalSigningKey } from '../../src/ca/private-key.ts';
import {
  type Bundle,
  type Clock,
  type RegistrationEntry,
  type TokenAuthority,
  type TrustDomain,
  TrustplaneError,
} from '../../src/spiffe/index.ts';
import type { JwtGrant, JwtIssuer, JwtRequest } from '../../src/svid/index.ts';
import { bundleOf } from './fake-svid-issuer.ts';
import { createGate } from './gate.ts';

/** Signs real JWT-SVIDs with keys in memory, and fails on request. */
export class FakeJwtIssuer implements JwtIssuer {
  readonly requests: JwtRequest[] = [];
  readonly trustDomain: TrustDomain;
  /** For entries that don't say. */
  ttlSeconds = 300;
  failure: Error | undefined;
  /** Changes grants on their way back. */
  tamper: ((grant: JwtGrant) => JwtGrant) | undefined;
  readonly #clock: Clock;
  readonly #entry: (entryId: string) => RegistrationEntry | undefined;
  #authorities: TokenAuthority[] = [];
  #signer: LocalSigningKey;
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
    this.#signer = this.#createKey();
  }

  bundle(): Bundle {
    const bundle = bundleOf(this.trustDomain, [], ++this.#sequence);
    return { ...bundle, jwtAuthorities: this.#authorities };
  }

  /** Adds a key to the bundle; the function returned makes it sign. */
  prepareKey(): () => void {
    const key = this.#createKey();
    return () => {
      this.#signer = key;
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

  async issue(request: JwtRequest): Promise<JwtGrant> {
    this.requests.push(request);
    await this.#gate;
    if (this.failure !== undefined) throw this.failure;
    const entry = this.#entry(request.entryId);
    if (entry === undefined) throw new TrustplaneError('ERR_SVID_ENTRY', 'no such entry');
    const issuedAt = Math.floor(this.#clock.now() / 1000) * 1000;
    const expiresAt = issuedAt + (entry.jwtSvidTtlSeconds || this.ttlSeconds) * 1000;
    const { audience } = request;
    const id = `${++this.#serial}`;
    const claims = { spiffeId: entry.spiffeId, audience, issuedAt, expiresAt, id };
    const grant = {
      token: await writeJwtSvid(this.#signer, this.#signer.keyId, claims),
      issuedAt,
      expiresAt,
    };
    return this.tamper === undefined ? grant : this.tamper(grant);
  }

  #createKey(): LocalSigningKey {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = createSigningKey(`jwt-${this.#authorities.length}`, 'ec-p256', privateKey);
    const { keyId, publicKey } = key;
    this.#authorities = [
      ...this.#authorities,
      { keyId, publicKey, expiresAt: undefined, tainted: false },
    ];
    return key;
  }
}
