import { createHash } from 'node:crypto';
import type { Bundle, X509Identity } from '../spiffe/index.ts';
import { type SdsMessages, SECRET_TYPE_URL, SPIFFE_VALIDATOR_TYPE_URL } from './sds-messages.ts';

export type SecretKind = 'tls_certificate' | 'validation_context';

/**
 * How a validation context is written: for Envoy's SPIFFE validator, which keeps trust domains
 * apart, or `plain`: the authorities of one trust domain as `trusted_ca`.
 */
export type ValidationMode = 'spiffe' | 'plain';

/** Which content a name has; small enough to remember per stream, and shared by all of them. */
export interface SecretRef {
  readonly name: string;
  readonly kind: SecretKind;
  /** 128 bits of SHA-256 over the secret's bytes, hex: equal exactly when the content is. */
  readonly version: string;
}

/** One encoded secret, shared by all streams. */
export interface Secret extends SecretRef {
  readonly ref: SecretRef;
  /** An encoded DiscoveryResponse that holds only this resource. */
  readonly sotw: Buffer;
  /** An encoded DeltaDiscoveryResponse that holds only this resource. */
  readonly delta: Buffer;
}

/** Writes secrets, each once per content. */
export interface SecretEncoder {
  certificate(name: string, identity: X509Identity): Secret;
  /** In plain mode `others` are left out: `trusted_ca` would let each of them vouch for all. */
  validation(name: string, mode: ValidationMode, bundle: Bundle, others: readonly Bundle[]): Secret;
  /** A validation context that no peer of the trust domain can satisfy. */
  unmatchable(name: string, mode: ValidationMode, trustDomain: string): Secret;
}

interface TrustedCa {
  readonly trustDomain: string;
  readonly pem: Buffer;
}

/** `unmatchableCa` is the DER of a CA certificate that nothing is ever signed with. */
export function createSecretEncoder(
  messages: SdsMessages,
  unmatchableCa: Uint8Array,
): SecretEncoder {
  const certificates = new WeakMap<X509Identity, Map<string, Secret>>();
  const validations = new WeakMap<Bundle, Map<string, Validation>>();
  const pems = new WeakMap<Bundle, TrustedCa>();
  const nothing = encodePem('CERTIFICATE', unmatchableCa);

  const seal = (name: string, kind: SecretKind, content: object): Secret =>
    sealSecret(messages, name, kind, content);
  const sealValidation = (name: string, mode: ValidationMode, cas: readonly TrustedCa[]): Secret =>
    seal(name, 'validation_context', buildValidation(messages, mode, cas));
  const trustedCa = (bundle: Bundle): TrustedCa =>
    remember(pems, bundle, () => ({
      trustDomain: bundle.trustDomain.name,
      pem: Buffer.concat(
        bundle.x509Authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate)),
      ),
    }));

  return {
    certificate(name, identity) {
      const byName = remember(certificates, identity, () => new Map<string, Secret>());
      return remember(byName, name, () =>
        seal(name, 'tls_certificate', buildCertificate(identity)),
      );
    },
    validation(name, mode, bundle, others) {
      const bundles = mode === 'plain' ? [bundle] : [bundle, ...others];
      const byKey = remember(validations, bundle, () => new Map<string, Validation>());
      const known = byKey.get(`${mode} ${name}`);
      if (known !== undefined && sameItems(known.bundles, bundles)) return known.secret;
      const cas = bundles.filter(hasX509Authorities).map(trustedCa);
      const none = [{ trustDomain: bundle.trustDomain.name, pem: nothing }];
      const secret = sealValidation(name, mode, cas.length === 0 ? none : cas);
      byKey.set(`${mode} ${name}`, { bundles, secret });
      return secret;
    },
    unmatchable: (name, mode, trustDomain) =>
      sealValidation(name, mode, [{ trustDomain, pem: nothing }]),
  };
}

interface Validation {
  readonly bundles: readonly Bundle[];
  readonly secret: Secret;
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

function buildValidation(
  messages: SdsMessages,
  mode: ValidationMode,
  cas: readonly TrustedCa[],
): object {
  return {
    validation_context:
      mode === 'spiffe'
        ? { custom_validator_config: buildSpiffeValidator(messages, cas) }
        : buildPlain(cas),
  };
}

/** Each trust domain once, by its bare name: Envoy refuses the whole secret otherwise. */
function buildSpiffeValidator(messages: SdsMessages, cas: readonly TrustedCa[]): object {
  const trustDomains = cas.map(({ trustDomain, pem }) => ({
    name: trustDomain,
    trust_bundle: { inline_bytes: pem },
  }));
  return {
    name: 'envoy.tls.cert_validator.spiffe',
    typed_config: {
      type_url: SPIFFE_VALIDATOR_TYPE_URL,
      value: encode(messages.spiffeValidator, { trust_domains: trustDomains }),
    },
  };
}

/** The authorities of exactly one trust domain, held to IDs of that trust domain. */
function buildPlain(cas: readonly TrustedCa[]): object {
  return {
    trusted_ca: { inline_bytes: Buffer.concat(cas.map(({ pem }) => pem)) },
    match_typed_subject_alt_names: cas.map(({ trustDomain }) => ({
      san_type: URI_SAN,
      matcher: { prefix: `spiffe://${trustDomain}/` },
    })),
  };
}

const URI_SAN = 3;

function sealSecret(
  messages: SdsMessages,
  name: string,
  kind: SecretKind,
  content: object,
): Secret {
  const value = encode(messages.secret, { name, ...content });
  const version = createHash('sha256').update(value).digest('hex').slice(0, 32);
  const resource = { type_url: SECRET_TYPE_URL, value };
  const ref: SecretRef = { name, kind, version };
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

function encodePem(label: string, der: Uint8Array): Buffer {
  const lines = Buffer.from(der).toString('base64').replaceAll(/.{64}/gu, '$&\n').trimEnd();
  return Buffer.from(`-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`);
}

function hasX509Authorities(bundle: Bundle): boolean {
  return bundle.x509Authorities.length > 0;
}

function sameItems<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
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
