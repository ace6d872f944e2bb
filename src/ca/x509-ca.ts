import { TrustplaneError } from '../spiffe/index.ts';
import { keyPrefixOf } from './authority.ts';
import type { AuthorityPublisher, X509AuthorityPublisher } from './authority-publisher.ts';
import { writeCaCertificate } from './ca-certificate.ts';
import { writeCaCsr } from './ca-csr.ts';
import { type CaMetrics, caMetricsOf } from './ca-metrics.ts';
import type { AuthorityStatus } from './ca-status.ts';
import { type CrlFields, writeCrl } from './crl-writer.ts';
import { requireAuthority } from './forced-steps.ts';
import type { Gate, X509Gate } from './gate.ts';
import { createJournal } from './journal.ts';
import type { SigningKey } from './key-manager.ts';
import {
  checkX509SvidRequest,
  leafValidity,
  type Validity,
  wholeSecond,
  type X509SvidRequest,
} from './leaf-request.ts';
import { buildLeafTemplate, type LeafTemplate } from './leaf-template.ts';
import { writeLeaf } from './leaf-writer.ts';
import { type AuthorityControl, ManagedAuthorities } from './managed-authorities.ts';
import { pathLengthBelow } from './path-length.ts';
import { createPeers, upstreamOwned } from './peer-authorities.ts';
import { createSerialNumbers } from './serial-number.ts';
import type { UpstreamSigner } from './upstream-authority.ts';
import { type CheckedAuthority, checkMinted } from './upstream-path.ts';
import { anchorOf, chainOf, createX509Authority, type X509CaAuthority } from './x509-authority.ts';
import { type SettledOptions, settleOptions, type X509CaOptions } from './x509-ca-options.ts';
import { x509JournalCodec } from './x509-journal.ts';

export interface IssuedX509Svid {
  /** DER, the one that was asked for first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** Lower-case hex, an even number of digits. */
  readonly serialNumber: string;
  /** What signed it. */
  readonly authorityId: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** An authority to sign. */
export interface DownstreamCaRequest {
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** 0 takes the life of this server's authorities. */
  readonly ttlSeconds: number;
  /** It ends by then, whatever its lifetime; milliseconds since the epoch. */
  readonly notAfterLimit?: number;
}

/** One of a server's authorities, and what of it stands in the bundle. */
export interface AuthorityAnchor {
  readonly authorityId: string;
  /** DER: the authority, or the root above it. */
  readonly anchor: Uint8Array;
  /** Instants in milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** One of a server's authorities, and whether it may say what of its own is revoked. */
export interface CrlIssuer {
  readonly authorityId: string;
  /** Instants in milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Its certificate has cRLSign; those from upstream may lack it. */
  readonly maySignCrls: boolean;
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
  /**
   * Signs an authority of the same trust domain that stands below this one; it ends no later.
   * @throws TrustplaneError ERR_CA_TTL, ERR_PUBLIC_KEY, ERR_DER, ERR_CA_PATH_LENGTH, ERR_CA_CLOCK,
   * ERR_CA_EXPIRED, ERR_CA_CLOSED
   */
  issueDownstreamCa(request: DownstreamCaRequest): Promise<IssuedX509Svid>;
  /** This server's authorities, in every state. */
  anchors(): readonly AuthorityAnchor[];
  /**
   * Signs as `issueX509Svid` does, with one of these authorities, which need not be active. It is for
   * messages about the bundle alone: whoever takes them has that authority from an earlier bundle.
   * @throws TrustplaneError as `issueX509Svid`, and ERR_CA_AUTHORITY_ID, ERR_CA_KEY_MISSING
   */
  issueX509SvidUnder(authorityId: string, request: X509SvidRequest): Promise<IssuedX509Svid>;
  /** This server's authorities, in every state, by who signs CRLs. */
  crlIssuers(): readonly CrlIssuer[];
  /** @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_KEY_MISSING, ERR_CA_CLOSED, ERR_DER */
  signCrl(authorityId: string, fields: CrlFields): Promise<Uint8Array>;
  /** Resolves at the first time that something can sign. */
  readonly active: Promise<void>;
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
  /** Between its leaves and the bundle, DER. */
  readonly chain: readonly Uint8Array[];
  readonly template: LeafTemplate;
}

class RotatingX509Ca extends ManagedAuthorities<X509CaAuthority> implements X509Ca {
  readonly #options: SettledOptions;
  readonly #makeSerialNumber: (now: number) => Uint8Array;
  readonly #metrics: CaMetrics;
  #issuer: Issuer | undefined;
  #stopWatching: (() => void) | undefined;

  constructor(options: SettledOptions) {
    const { bucket, serverId, trustDomain, ownBundle } = options;
    const metrics = caMetricsOf(options.metrics);
    const codec = x509JournalCodec(trustDomain);
    const publisher = publisherOver(ownBundle, options.upstream);
    super({
      ...options,
      kind: 'x509',
      journal: createJournal(bucket, serverId, codec),
      publisher,
      peers: createPeers({ ...options, codec, publisher, isLive: options.isLive }),
      gate: options.gate && gateOver(options.gate, ownBundle),
      metrics,
    });
    this.#options = options;
    this.#makeSerialNumber = createSerialNumbers(options.random);
    this.#metrics = metrics;
  }

  override async start(): Promise<void> {
    this.#stopWatching = this.#options.upstream?.watch(() => this.settle());
    await super.start();
  }

  async issueX509Svid(request: X509SvidRequest): Promise<IssuedX509Svid> {
    return await this.#issue(this.#requireIssuer(), request);
  }

  anchors(): readonly AuthorityAnchor[] {
    return this.authorities.map((authority) => {
      const { authorityId, notBefore, notAfter } = authority;
      return { authorityId, notBefore, notAfter, anchor: anchorOf(authority) };
    });
  }

  crlIssuers(): readonly CrlIssuer[] {
    return this.authorities.map(({ authorityId, notBefore, notAfter, parsed }) => {
      const maySignCrls = parsed.keyUsage?.names.has('cRLSign') ?? false;
      return { authorityId, notBefore, notAfter, maySignCrls };
    });
  }

  async signCrl(authorityId: string, fields: CrlFields): Promise<Uint8Array> {
    this.requireOpen();
    const authority = requireAuthority(this.authorities, authorityId, 'x509');
    return await writeCrl({ key: await this.keyOf(authority), ...namesOf(authority) }, fields);
  }

  async issueX509SvidUnder(authorityId: string, request: X509SvidRequest): Promise<IssuedX509Svid> {
    this.requireOpen();
    const authority = requireAuthority(this.authorities, authorityId, 'x509');
    const issuer = issuerOf(authority, await this.keyOf(authority), this.#options);
    return await this.#issue(issuer, request);
  }

  async #issue(issuer: Issuer, request: X509SvidRequest): Promise<IssuedX509Svid> {
    checkX509SvidRequest(request, this.#options.trustDomain);
    const { ttlSeconds: asked, notAfterLimit } = request;
    const ttlSeconds = asked === 0 ? this.#options.x509SvidTtlSeconds : asked;
    const fields = this.#beginCertificate(issuer, ttlSeconds, notAfterLimit);
    const leaf = await writeLeaf(issuer.template, { ...request, ...fields });
    this.#metrics.x509Svids.inc();
    return issued(issuer, leaf, fields);
  }

  async issueDownstreamCa(request: DownstreamCaRequest): Promise<IssuedX509Svid> {
    const { publicKey, ttlSeconds, notAfterLimit } = request;
    const issuer = this.#requireIssuer();
    const { authority, template } = issuer;
    const pathLength = pathLengthBelow(authority.parsed);
    const life = ttlSeconds === 0 ? this.#options.caTtlSeconds : ttlSeconds;
    const fields = this.#beginCertificate(issuer, life, notAfterLimit);
    const certificate = await writeCaCertificate({
      ...fields,
      key: template.key,
      trustDomain: this.#options.trustDomain,
      issued: { publicKey, pathLength, ...namesOf(authority) },
    });
    return issued(issuer, certificate, fields);
  }

  override async taint(authorityId: string): Promise<AuthorityStatus> {
    this.#requireOwned(authorityId);
    return await super.taint(authorityId);
  }

  override async revoke(authorityId: string): Promise<AuthorityStatus> {
    this.#requireOwned(authorityId);
    return await super.revoke(authorityId);
  }

  override async close(): Promise<void> {
    this.#stopWatching?.();
    await super.close();
  }

  /** The signature alone is left to be made. */
  #beginCertificate({ authority }: Issuer, ttlSeconds: number, notAfterLimit?: number) {
    const { clock, backdateSeconds } = this.#options;
    const now = clock.now();
    this.checkTime(authority, now);
    const validity = leafValidity({
      now,
      issuer: authority,
      ttlSeconds,
      backdateSeconds,
      notAfterLimit,
      kind: 'x509',
    });
    return { serialNumber: this.#makeSerialNumber(now), ...validity };
  }

  #requireOwned(authorityId: string): void {
    const { upstreamId } =
      this.status().authorities.find((authority) => authority.authorityId === authorityId) ?? {};
    if (upstreamId !== undefined) throw upstreamOwned(authorityId, upstreamId);
  }

  #requireIssuer(): Issuer {
    this.requireOpen();
    if (this.#issuer !== undefined) return this.#issuer;
    throw new TrustplaneError('ERR_CA_EXPIRED', 'not everybody knows yet what is to sign here');
  }

  protected override async makeAuthority(now: number): Promise<X509CaAuthority> {
    const { keyManager, trustDomain, keyType, caTtlSeconds, backdateSeconds } = this.#options;
    const serialNumber = this.#makeSerialNumber(now);
    const keyId = `${keyPrefixOf('x509')}${Buffer.from(serialNumber).toString('hex')}`;
    const key = await keyManager.generateKey(keyId, keyType);
    const common = { keyId, state: 'prepared', issuedAt: now } as const;
    const { upstream } = this.#options;
    if (upstream !== undefined) {
      return createX509Authority({ ...common, ...(await this.#mint(upstream, key)) });
    }
    const certificate = await writeCaCertificate({
      key,
      serialNumber,
      notBefore: wholeSecond(now - backdateSeconds * 1000),
      notAfter: wholeSecond(now + caTtlSeconds * 1000),
      trustDomain,
    });
    return createX509Authority({ ...common, certificate });
  }

  async #mint(upstream: UpstreamSigner, key: SigningKey): Promise<CheckedAuthority> {
    const { trustDomain, caTtlSeconds, clock } = this.#options;
    const csr = await writeCaCsr(key, trustDomain);
    const minted = await upstream.mint({ csr, ttlSeconds: caTtlSeconds });
    const { publicKey } = key;
    const checked = checkMinted(minted, { publicKey, trustDomain }, clock.now());
    if (!upstream.isRefused(checked.upstream.root)) return checked;
    throw new TrustplaneError(
      'ERR_CA_UPSTREAM_ANSWER',
      'the upstream authority still signs below a root that is tainted or revoked',
    );
  }

  protected override useAuthority(authority: X509CaAuthority, key: SigningKey): void {
    this.#issuer = issuerOf(authority, key, this.#options);
  }
}

function issuerOf(
  authority: X509CaAuthority,
  key: SigningKey,
  { profile }: Pick<SettledOptions, 'profile'>,
): Issuer {
  const { issuerName: name, issuerKeyId: keyId } = namesOf(authority);
  const template = buildLeafTemplate({ key, name, keyId }, profile);
  return { authority, template, chain: chainOf(authority) };
}

/** How what an authority signs names it. */
function namesOf({ parsed }: X509CaAuthority) {
  return { issuerName: parsed.subject.der, issuerKeyId: parsed.subjectKeyId ?? new Uint8Array() };
}

function issued(
  { authority, chain }: Issuer,
  certificate: Uint8Array,
  fields: Validity & { readonly serialNumber: Uint8Array },
): IssuedX509Svid {
  const serialNumber = Buffer.from(fields.serialNumber)
    .toString('hex')
    .replace(/^(00)+/u, '');
  return {
    certificateChain: [certificate, ...chain],
    serialNumber,
    authorityId: authority.authorityId,
    notBefore: fields.notBefore,
    expiresAt: fields.notAfter,
  };
}

/** Of what is signed upstream the root stands in the bundle, which is not this server's to take out. */
function publisherOver(
  bundle: X509AuthorityPublisher,
  signer: UpstreamSigner | undefined,
): AuthorityPublisher<X509CaAuthority> {
  return {
    find: (authority) => bundle.find(anchorOf(authority)),
    isRefused: (authority) => {
      const anchor = anchorOf(authority);
      const isRefusedAbove = authority.upstream !== undefined && signer?.isRefused(anchor) === true;
      return bundle.find(anchor)?.isTainted === true || bundle.isRevoked(anchor) || isRefusedAbove;
    },
    async publish({ certificate, upstream }) {
      if (upstream === undefined) await bundle.publish(certificate);
      else await (signer?.adopt(upstream.root) ?? bundle.publish(upstream.root));
    },
    async withdraw({ certificate, upstream }) {
      if (upstream === undefined) await bundle.withdraw(certificate);
    },
    async revoke({ certificate, upstream }) {
      if (upstream === undefined) await bundle.revoke(certificate);
    },
    async taint({ certificate, upstream }) {
      if (upstream === undefined) await bundle.taint(certificate);
    },
  };
}

/** What is not in the bundle yet is known to nobody. */
function gateOver(
  gate: X509Gate,
  bundle: Pick<X509AuthorityPublisher, 'find'>,
): Gate<X509CaAuthority> {
  return {
    check(authority) {
      const { authorityId } = authority;
      const certificate = anchorOf(authority);
      const publishedAt = bundle.find(certificate)?.publishedAt;
      if (publishedAt !== undefined) return gate.check({ authorityId, certificate, publishedAt });
      return { isOpen: false, behind: [{ who: 'the bundle', why: 'does not hold it yet' }] };
    },
    watch: (listener) => gate.watch(listener),
  };
}
