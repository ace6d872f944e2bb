import type { IdScope } from '../spiffe/index.ts';
import { type SdsMessages, SPIFFE_VALIDATOR_TYPE_URL } from './sds-messages.ts';

/**
 * How a validation context is written: for Envoy's SPIFFE validator, which keeps trust domains
 * apart, or `plain`: the authorities of one trust domain as `trusted_ca`.
 */
export type ValidationMode = 'spiffe' | 'plain';

/** What a validation context holds of one trust domain. */
export interface TrustedCa {
  readonly trustDomain: string;
  /** Its authorities. */
  readonly pem: Buffer;
  /** The SPIFFE IDs that may be matched; undefined: all. */
  readonly accept: readonly IdScope[] | undefined;
}

/** The fields of a Secret that is a validation context of these trust domains, each of them once. */
export function buildValidation(
  messages: SdsMessages,
  mode: ValidationMode,
  cas: readonly TrustedCa[],
): object {
  const isScoped = cas.some(({ accept }) => accept !== undefined);
  return {
    validation_context: {
      ...(mode === 'spiffe'
        ? { custom_validator_config: buildSpiffeValidator(messages, cas) }
        : { trusted_ca: { inline_bytes: Buffer.concat(cas.map(({ pem }) => pem)) } }),
      ...(isScoped && { match_subject_alt_names: cas.flatMap(buildScopes) }),
      // A trusted_ca vouches for every name.
      ...(mode === 'plain' && !isScoped && { match_typed_subject_alt_names: cas.map(buildPrefix) }),
    },
  };
}

/** Each trust domain once, by its bare name: Envoy refuses the whole secret otherwise. */
function buildSpiffeValidator(messages: SdsMessages, cas: readonly TrustedCa[]): object {
  const trustDomains = cas.map(({ trustDomain, pem }) => ({
    name: trustDomain,
    trust_bundle: { inline_bytes: pem },
  }));
  const type = messages.spiffeValidator;
  return {
    name: 'envoy.tls.cert_validator.spiffe',
    typed_config: {
      type_url: SPIFFE_VALIDATOR_TYPE_URL,
      value: Buffer.from(type.encode({ trust_domains: trustDomains }).finish()),
    },
  };
}

/**
 * The SPIFFE IDs of one trust domain, in a list for the whole context, of which a peer has to match one.
 * It stands in the older of two fields: Envoy joins it to no list of its own in the newer one, which
 * would then let in more than it says; that list alone decides there, or Envoy refuses the secret.
 */
function buildScopes({ trustDomain, accept }: TrustedCa): object[] {
  if (accept === undefined) return [{ prefix: `spiffe://${trustDomain}/` }];
  return accept.flatMap(({ exact, prefix }) =>
    prefix === undefined ? [{ exact }] : [{ exact }, { prefix }],
  );
}

const URI_SAN = 3;

function buildPrefix({ trustDomain }: TrustedCa): object {
  return { san_type: URI_SAN, matcher: { prefix: `spiffe://${trustDomain}/` } };
}

export function encodePem(label: string, der: Uint8Array): Buffer {
  const lines = Buffer.from(der).toString('base64').replaceAll(/.{64}/gu, '$&\n').trimEnd();
  return Buffer.from(`-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`);
}
