import { type Bundle, encodePem } from '../spiffe/index.ts';
import { type Encoded, encodeField, encodeMessage } from '../wire/index.ts';
import type { TrustedDomain } from './names.ts';
import { type SecretMessages, SPIFFE_VALIDATOR_TYPE_URL } from './secret-messages.ts';

/**
 * How a validation context is written: for Envoy's SPIFFE validator, which keeps trust domains
 * apart, or `plain`: the authorities of one trust domain as `trusted_ca`.
 */
export type ValidationMode = 'spiffe' | 'plain';

/** Writes an encoded CertificateValidationContext of these trust domains, each of them once. */
export type ValidationEncoder = (
  mode: ValidationMode,
  domains: readonly TrustedDomain[],
) => Encoded;

export function createValidationEncoder(messages: SecretMessages): ValidationEncoder {
  // Once for each bundle: of thousands in one context one changes.
  const encodedDomains = new WeakMap<Bundle, EncodedDomain>();
  const encodedOf = (domain: TrustedDomain): Encoded => {
    const { bundle, crls } = domain;
    const known = encodedDomains.get(bundle);
    if (known !== undefined && known.crls === crls) return known.encoded;
    const encoded = encodeTrustDomain(messages, domain);
    encodedDomains.set(bundle, { crls, encoded });
    return encoded;
  };
  return (mode, domains) => {
    const type = messages.validationContext;
    const lists = buildLists(mode, domains);
    if (mode === 'plain') {
      const pem = Buffer.concat(domains.map(({ bundle }) => pemOf(bundle)));
      const crls = domains.flatMap((domain) => domain.crls ?? []);
      return encodeMessage(type, {
        trusted_ca: { inline_bytes: pem },
        ...(crls.length > 0 && { crl: { inline_bytes: crlPemOf(crls) } }),
        ...lists,
      });
    }
    const validator = encodeSpiffeValidator(messages, domains.map(encodedOf));
    return encodeMessage(type, lists, encodeField(type, 'custom_validator_config', validator));
  };
}

interface EncodedDomain {
  readonly crls: TrustedDomain['crls'];
  readonly encoded: Encoded;
}

/** Each trust domain once, by its bare name: Envoy refuses the whole secret otherwise. */
function encodeSpiffeValidator(
  { any, typedExtension, spiffeValidator }: SecretMessages,
  domains: readonly Encoded[],
): Encoded {
  const config = encodeMessage(spiffeValidator, {}, ...domains);
  const type_url = SPIFFE_VALIDATOR_TYPE_URL;
  const typed = encodeMessage(any, { type_url }, encodeField(any, 'value', config));
  const name = 'envoy.tls.cert_validator.spiffe';
  return encodeMessage(
    typedExtension,
    { name },
    encodeField(typedExtension, 'typed_config', typed),
  );
}

/** An encoded SPIFFECertValidatorConfig of one trust domain; its CRLs stand among its authorities (SDS-19). */
function encodeTrustDomain(
  { spiffeValidator }: SecretMessages,
  { bundle, crls = [] }: TrustedDomain,
): Encoded {
  const trust_bundle = { inline_bytes: Buffer.concat([pemOf(bundle), crlPemOf(crls)]) };
  const { name } = bundle.trustDomain;
  return encodeMessage(spiffeValidator, { trust_domains: [{ name, trust_bundle }] });
}

function pemOf({ x509Authorities }: Bundle): Buffer {
  const blocks = x509Authorities.map(({ certificate }) => encodePem('CERTIFICATE', certificate));
  return Buffer.from(blocks.join(''));
}

function crlPemOf(crls: readonly Uint8Array[]): Buffer {
  return Buffer.from(crls.map((crl) => encodePem('X509 CRL', crl)).join(''));
}

/**
 * The SPIFFE IDs of which a peer has to match one, for the whole context. Where trust domains are
 * accepted in part they stand in the older of two fields: Envoy joins it to no list of its own in the
 * newer one, which would then let in more than it says; that list alone decides there, or Envoy
 * refuses the secret. In plain mode any authority could vouch for every name.
 */
function buildLists(mode: ValidationMode, domains: readonly TrustedDomain[]): object {
  if (domains.some(({ accept }) => accept !== undefined)) {
    return { match_subject_alt_names: domains.flatMap(buildScopes) };
  }
  return mode === 'plain' ? { match_typed_subject_alt_names: domains.map(buildPrefix) } : {};
}

function buildScopes({ bundle, accept }: TrustedDomain): object[] {
  if (accept === undefined) return [{ prefix: `${bundle.trustDomain.id}/` }];
  return accept.flatMap(({ exact, prefix }) =>
    prefix === undefined ? [{ exact }] : [{ exact }, { prefix }],
  );
}

const URI_SAN = 3;

function buildPrefix({ bundle }: TrustedDomain): object {
  return { san_type: URI_SAN, matcher: { prefix: `${bundle.trustDomain.id}/` } };
}
