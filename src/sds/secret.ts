import { createHash } from 'node:crypto';
import {
  type Bundle,
  emptyBundle,
  encodePem,
  type IdScope,
  TrustDomain,
  type X509Identity,
} from '../spiffe/index.ts';
import { type Encoded, encodeField, encodeMessage } from '../wire/index.ts';
import { loadDiscoveryMessages, type Resource, sealResource } from '../xds/index.ts';
import { fitNames } from './fit-names.ts';
import type { TrustedDomain } from './names.ts';
import { SECRET_TYPE_URL, type SecretMessages } from './secret-messages.ts';
import { createValidationEncoder, type ValidationMode } from './validation.ts';

export type SecretKind = 'tls_certificate' | 'validation_context';

/**
 * One encoded secret. Its version is 128 bits of SHA-256 over its parts, hex; it is reducible where it
 * is a validation context that lists SPIFFE IDs, which a client may be unable to take.
 */
export interface Secret extends Resource {
  readonly kind: SecretKind;
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

/**
 * `unmatchableCa` is the DER of a CA certificate that nothing is ever signed with. `onOmitted` is told of
 * trust domains that have no room in a validation context.
 */
export function createSecretEncoder(
  messages: SecretMessages,
  unmatchableCa: Uint8Array,
  onOmitted: (name: string, omitted: readonly string[]) => void,
): SecretEncoder {
  const certificates = new WeakMap<X509Identity, Map<string, Secret>>();
  const validations = new WeakMap<Bundle, Map<string, Validation>>();
  const encodeValidation = createValidationEncoder(messages);

  const sealValidation = (
    name: string,
    mode: ValidationMode,
    domains: readonly TrustedDomain[],
  ): Secret =>
    sealSecret(messages, encodeValidation(mode, domains), {
      name,
      kind: 'validation_context',
      isReducible: domains.some(({ accept }) => accept !== undefined),
    });
  const nothingOf = (trustDomain: TrustDomain): TrustedDomain => {
    const x509Authorities = [{ certificate: unmatchableCa, tainted: false }];
    return { bundle: { ...emptyBundle(trustDomain), x509Authorities }, accept: undefined };
  };

  return {
    certificate(name, identity) {
      const byName = remember(certificates, identity, () => new Map<string, Secret>());
      return remember(byName, name, () =>
        sealSecret(messages, encodeCertificate(messages, identity), {
          name,
          kind: 'tls_certificate',
          isReducible: false,
          subject: identity.entryId,
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
      const usable = held.filter((domain) => isUsable(domain, scopes));
      const fitting = fitNames(usable);
      if (fitting.omitted.length > 0) onOmitted(name, fitting.omitted);
      const shown = usable.length === 0 ? [nothingOf(bundle.trustDomain)] : fitting.held;
      const secret = sealValidation(name, mode, shown);
      byKey.set(key, { domains: held, secret });
      return secret;
    },
    unmatchable: (name, mode, trustDomain) =>
      sealValidation(name, mode, [nothingOf(TrustDomain.parse(trustDomain))]),
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

function encodeCertificate({ tlsCertificate }: SecretMessages, identity: X509Identity): Encoded {
  const chain = identity.certificateChain.map((der) => encodePem('CERTIFICATE', der));
  return encodeMessage(tlsCertificate, {
    certificate_chain: { inline_bytes: Buffer.from(chain.join('')) },
    private_key: { inline_bytes: Buffer.from(encodePem('PRIVATE KEY', identity.privateKey)) },
  });
}

const discovery = loadDiscoveryMessages();

/** `content` is of the field that is called as the kind. */
function sealSecret(
  { secret }: SecretMessages,
  content: Encoded,
  more: Pick<Secret, 'name' | 'kind' | 'isReducible' | 'subject'>,
): Secret {
  const { name, kind } = more;
  const value = encodeMessage(secret, { name }, encodeField(secret, kind, content));
  const version = versionOf(value);
  return { ...sealResource(discovery, SECRET_TYPE_URL, value, { ...more, version }), kind };
}

const digests = new WeakMap<Uint8Array, Buffer>();

/** Over digests of the parts, of which most are as they were. */
function versionOf({ parts }: Encoded): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    hash.update(remember(digests, part, () => createHash('sha256').update(part).digest()));
  }
  return hash.digest('hex').slice(0, 32);
}

function sameDomains(one: readonly TrustedDomain[], other: readonly TrustedDomain[]): boolean {
  const isSame = (domain: TrustedDomain, its: TrustedDomain | undefined): boolean =>
    domain.bundle === its?.bundle &&
    domain.crls === its.crls &&
    sameScopes(domain.accept, its.accept);
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
