import {
  type Clock,
  type ErrorCode,
  messageOf,
  quote,
  type TrustDomain,
  TrustplaneError,
} from '../../../spiffe/index.ts';
import { parseAgentPathTemplate } from '../agent-path-template.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import { parseAuthorizedKeys } from './authorized-keys.ts';
import { otherFingerprint, parseSshCertificate, type SshCertificate } from './ssh-certificate.ts';
import { findSignatureFault } from './ssh-signature.ts';
import {
  combineNonces,
  encodeChallenge,
  NONCE_BYTES,
  parsePayload,
  parseResponse,
} from './sshpop-messages.ts';

const NAME = 'sshpop';
const DEFAULT_TEMPLATE = '/sshpop/{{ .Fingerprint }}';
/** For ever; PROTOCOL.certkeys. */
const FOR_EVER = 2n ** 64n - 1n;
const VARIABLES = new Map<string, (certificate: SshCertificate, hostname: string) => string>([
  ['Fingerprint', ({ fingerprint }) => fingerprint],
  ['Hostname', (_, hostname) => hostname],
  ['KeyId', ({ keyId }) => keyId],
  ['Serial', ({ serial }) => `${serial}`],
]);

export interface SshPopAttestorOptions {
  readonly trustDomain: TrustDomain;
  /** Keys of the authorities whose hosts may join, in the format of authorized_keys; at least one. */
  readonly authorities: string;
  /** Default `/sshpop/{{ .Fingerprint }}`; docs/reference/node-attestation.md has the variables. */
  readonly agentPathTemplate?: string | undefined;
  /** The domain that the first principal of a host is below of; without it, it is what it is. */
  readonly canonicalDomain?: string | undefined;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * The server's side of SPIRE's sshpop: the node shows an SSH host certificate of a known authority, and
 * proves that it has the key by signing a nonce of each side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE
 */
export function createSshPopAttestor(options: SshPopAttestorOptions): NodeAttestor {
  const { trustDomain, clock, randomBytes, canonicalDomain } = options;
  const authorities = attempt('ERR_NODE_ATTEST_AUTHORITIES', 'the authorities for sshpop', () =>
    parseAuthorizedKeys(options.authorities),
  );
  const template = parseAgentPathTemplate(options.agentPathTemplate ?? DEFAULT_TEMPLATE, {
    attestor: NAME,
    trustDomain,
    isVariable: (name) => VARIABLES.has(name),
  });
  return {
    name: NAME,
    async attest(payload, challenge) {
      const certificate = attempt('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data', () =>
        parseSshCertificate(parsePayload(payload)),
      );
      requireHostCertificate(certificate, authorities, clock.now());
      const hostname = hostnameOf(certificate, canonicalDomain);
      const asked = randomBytes(NONCE_BYTES);
      const { nonce, signature } = parseResponse(await challenge(encodeChallenge(asked)));
      const proof = combineNonces(asked, nonce);
      // Agents of SPIRE sign with SHA-1 where the key is RSA. What they sign is a digest with the
      // server's nonce in it, so that no collision that was made before is of use.
      const terms = { allowSha1: true };
      const fault = findSignatureFault(certificate.publicKey, proof, signature, terms);
      if (fault !== undefined)
        throw refused('ERR_NODE_ATTEST_PROOF', `the host did not prove its key: ${fault}`);
      const pathOf = (of: SshCertificate) =>
        template((name) => VARIABLES.get(name)?.(of, hostname));
      const agentPath = pathOf(certificate);
      const fingerprint = otherFingerprint(certificate);
      const twinPath = fingerprint && pathOf({ ...certificate, fingerprint });
      return {
        agentPath,
        selectors: [],
        canReattest: true,
        ...(twinPath !== undefined && twinPath !== agentPath && { twinPath }),
      };
    },
  };
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CERTIFICATE */
function requireHostCertificate(
  certificate: SshCertificate,
  authorities: ReadonlySet<string>,
  now: number,
): void {
  const { kind, signatureKeyFingerprint, criticalOptions, principals } = certificate;
  if (kind !== 'host') throw unfit(`is one of a ${kind}, not of a host`);
  if (!authorities.has(signatureKeyFingerprint))
    throw unfit(`is of an authority that is not known: SHA256:${signatureKeyFingerprint}`);
  const fault = findSignatureFault(
    certificate.signatureKey,
    certificate.signed,
    certificate.signature,
  );
  if (fault !== undefined) throw unfit(`is not signed by its authority: ${fault}`);
  const [option] = criticalOptions;
  if (option !== undefined) throw unfit(`has the critical option ${quote(option)}`);
  if (principals.length === 0) throw unfit('has no principals: it would be of every host');
  requireTime(certificate, BigInt(Math.floor(now / 1_000)));
}

function requireTime({ validAfter, validBefore }: SshCertificate, nowSeconds: bigint): void {
  if (nowSeconds < validAfter) throw unfit(`is valid only from second ${validAfter} on`);
  if (validBefore !== FOR_EVER && nowSeconds >= validBefore)
    throw unfit(`was valid until second ${validBefore}`);
}

function hostnameOf({ principals }: SshCertificate, domain: string | undefined): string {
  const [principal = ''] = principals;
  if (domain === undefined) return principal;
  const suffix = `.${domain}`;
  if (principal.endsWith(suffix) && principal !== suffix) return principal.slice(0, -suffix.length);
  throw unfit(`is of ${quote(principal)}, which is not below ${domain}`);
}

function attempt<T>(code: ErrorCode, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TrustplaneError) throw error;
    throw new TrustplaneError(code, `${what} cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function unfit(why: string): TrustplaneError {
  return refused('ERR_NODE_ATTEST_CERTIFICATE', `the certificate of the host ${why}`);
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
