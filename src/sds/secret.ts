import { createHash } from 'node:crypto';
import type { Bundle, IdScope, X509Identity } from '../spiffe/index.ts';
import type { TrustedDomain } from './names.ts';
import { type SdsMessages, SECRET_TYPE_URL } from './sds-messages.ts';
import { buildValidation, encodePem, type TrustedCa, type ValidationMode } from './validation.ts';

export type SecretKind = 'tls_certificate' | 'validation_context';

/** Which content a name has; small enough to remember per stream, and shared by all of them. */
export interface SecretRef {
  readonly name: string;
  readonly kind: SecretKind;
  /** 128 bits of SHA-256 over the secret's bytes, hex: equal exactly when the content is. */
  readonly version: string;
  /** A validation context that lists SPIFFE IDs, which a client may be unable to take. */
  readonly isScoped: boolean;
}

/** One encoded secret, shared by all streams. */
export interface Secret extends SecretRef {
  readonly ref: SecretRef;
  /** An encoded DiscoveryResponse that holds only this resource. */
  readonly sotw: Buffer;
  /** An encoded DeltaDiscoveryResponse that holds only this resource. */
  readonly delta: Buffer;
}

/** How a validation context is made. */
export interface ValidationStyle {
  readonly mode: ValidationMode;
  /**
   * Of trust domains of which some SPIFFE IDs alone are accepted it lists those, or it is made without
   * the trust domains.
   */
  readonly scopes: 'listed' | 'withheld';
}

/** Writes secrets, each once per content. */
export interface SecretEncoder {
  certificate(name: string, identity: X509Identity): Secret;
  /** In plain mode the first domain alone: `trusted_ca` would let each of them vouch for all. */
  validation(
    name: string,
    style: ValidationStyle,
    domains: readonly [TrustedDomain, ...TrustedDomain[]],
  ): Secret;
  /** A validation context that no peer of the trust domain can satisfy. */
  unmatchable(name: string, mode: ValidationMode, trustDomain: string): Secret;
}

/** `unmatchableCa` is the DER of a CA certificate that nothing is ever signed with. */
export function createSecretEncoder(
  messages: SdsMessages,
  unmatchableCa: Uint8Array,
): SecretEncoder {
  const certificates = new WeakMap<X509Identity, Map<string, Secret>>();
  const validations = new WeakMap<Bundle, Map<string, Validation>>();
  const pems = new WeakMap<Bundle, Buffer>();
  const nothing = encodePem('CERTIFICATE', unmatchableCa);

  const sealValidation = (name: string, mode: ValidationMode, cas: readonly TrustedCa[]): Secret =>
    sealSecret(messages, {
      name,
      kind: 'validation_context',
      isScoped: cas.some(({ accept }) => accept !== undefined),
      content: buildValidation(messages, mode, cas),
    });
  const pemOf = (bundle: Bundle): Buffer =>
    remember(pems, bundle, () =>
      Buffer.concat(
        bundle.x509Authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate)),
      ),
    );
  const trustedCa = ({ bundle, accept }: TrustedDomain): TrustedCa => ({
    trustDomain: bundle.trustDomain.name,
    pem: pemOf(bundle),
    accept,
  });

  return {
    certificate(name, identity) {
      const byName = remember(certificates, identity, () => new Map<string, Secret>());
      return remember(byName, name, () =>
        sealSecret(messages, {
          name,
          kind: 'tls_certificate',
          isScoped: false,
          content: buildCertificate(identity),
        }),
      );
    },
    validation(name, { mode, scopes }, domains) {
      const [{ bundle }] = domains;
      const held = mode === 'plain' ? domains.slice(0, 1) : domains;
      const byKey = remember(validations, bundle, () => new Map<string, Validation>());
      const key = `${mode} ${scopes} ${name}`;
      const known = byKey.get(key);
      if (known !== undefined && sameDomains(known.domains, held)) return known.secret;
      const cas = held.filter((domain) => isUsable(domain, scopes)).map(trustedCa);
      const none = { trustDomain: bundle.trustDomain.name, pem: nothing, accept: undefined };
      const secret = sealValidation(name, mode, cas.length === 0 ? [none] : cas);
      byKey.set(key, { domains: held, secret });
      return secret;
    },
    unmatchable: (name, mode, trustDomain) =>
      sealValidation(name, mode, [{ trustDomain, pem: nothing, accept: undefined }]),
  };
}

interface Validation {
  readonly domains: readonly TrustedDomain[];
  readonly secret: Secret;
}

function isUsable({ bundle, accept }: TrustedDomain, scopes: ValidationStyle['scopes']): boolean {
  const isWithheld = scopes === 'withheld' && accept !== undefined;
  return bundle.x509Authorities.length > 0 && !isWithheld;
}

function buildCertificate(identity: X509Identity): object {
  const chain = identity.certificateChain.map((der) => encodePem('CERTIFICATE', der));
  return {
    tls_certificate: {
      certificate_chain: { inline_bytes: Buffer.concat(chain) },
      private_key: { inline_bytes: encodePem('PRIVATE KEY', identity.privateKey) },
    },
  };
}

function sealSecret(
  messages: SdsMessages,
  { content, ...more }: Omit<SecretRef, 'version'> & { readonly content: object },
): Secret {
  const { name } = more;
  const value = encode(messages.secret, { name, ...content });
  const version = createHash('sha256').update(value).digest('hex').slice(0, 32);
  const resource = { type_url: SECRET_TYPE_URL, value };
  const ref: SecretRef = { ...more, version };
  return {
    ...ref,
    ref,
    sotw: encode(messages.sotwResponse, { resources: [resource] }),
    delta: encode(messages.deltaResponse, { resources: [{ name, version, resource }] }),
  };
}

function encode(type: SdsMessages['secret'], value: object): Buffer {
  return Buffer.from(type.encode(value).finish());
}

function sameDomains(one: readonly TrustedDomain[], other: readonly TrustedDomain[]): boolean {
  const isSame = (domain: TrustedDomain, its: TrustedDomain | undefined): boolean =>
    domain.bundle === its?.bundle && sameScopes(domain.accept, its.accept);
  return one.length === other.length && one.every((domain, at) => isSame(domain, other[at]));
}

function sameScopes(
  one: readonly IdScope[] | undefined,
  other: readonly IdScope[] | undefined,
): boolean {
  return one === other || (one !== undefined && one.join(' ') === other?.join(' '));
}

function remember<K, V>(
  memo: { get(key: K): V | undefined; set(key: K, value: V): unknown },
  key: K,
  make: () => V,
): V {
  const known = memo.get(key);
  if (known !== undefined) return known;
  const made = make();
  memo.set(key, made);
  return made;
}
