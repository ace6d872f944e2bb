import type { Log } from '../../ops/index.ts';
import {
  type Certificate,
  type Clock,
  type ErrorCode,
  messageOf,
  parseCertificate,
  type TrustDomain,
  TrustplaneError,
  verifyCertificateChain,
} from '../../spiffe/index.ts';
import { parseAgentPathTemplate } from './agent-path-template.ts';
import type { Challenge, NodeAttestor } from './node-attestor.ts';
import { otherCertificate } from './other-signature.ts';
import {
  fingerprintOf,
  isX509PopVariable,
  readX509PopFacts,
  type X509PopFacts,
  x509PopVariable,
} from './x509pop-facts.ts';
import {
  encodeChallenge,
  NONCE_BYTES,
  parseCertificates,
  parseResponse,
} from './x509pop-messages.ts';
import { isProof } from './x509pop-proof.ts';

const NAME = 'x509pop';
const DEFAULT_MAX_INTERMEDIATES = 4;
const DEFAULT_TEMPLATE = '/x509pop/{{ .Fingerprint }}';

export interface X509PopAttestorOptions {
  readonly trustDomain: TrustDomain;
  /** DER certificates of the authorities whose nodes may join; at least one. */
  readonly authorities: readonly Uint8Array[];
  /** Default `/x509pop/{{ .Fingerprint }}`; docs/reference/node-attestation.md has the variables. */
  readonly agentPathTemplate?: string;
  /** Certificates between node and authority that a node may send; default 4. */
  readonly maxIntermediates?: number;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Log;
}

/**
 * The server's side of SPIRE's x509pop: the node shows a certificate of a known authority, and proves
 * that it has the key by signing a nonce of each side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE
 */
export function createX509PopAttestor(options: X509PopAttestorOptions): NodeAttestor {
  const { trustDomain, clock, randomBytes, log } = options;
  const maxCertificates = 1 + (options.maxIntermediates ?? DEFAULT_MAX_INTERMEDIATES);
  const authorities = parseAuthorities(options.authorities);
  const template = parseAgentPathTemplate(options.agentPathTemplate ?? DEFAULT_TEMPLATE, {
    attestor: NAME,
    trustDomain,
    isVariable: isX509PopVariable,
  });
  return {
    name: NAME,
    async attest(payload, challenge) {
      const chain = parseChain(parseCertificates(payload, maxCertificates));
      const [leaf] = chain;
      requireSigner(leaf);
      // Only what was verified is used from here on.
      const path = verifyCertificateChain(chain, authorities, clock.now());
      await requireProof(leaf, challenge, randomBytes);
      const facts = readX509PopFacts(leaf, path.slice(1), trustDomain);
      if (facts.leftOut.length > 0) {
        log.warn({ names: facts.leftOut }, 'names in the certificate of a node make no selectors');
      }
      const pathOf = (of: X509PopFacts) => template((name) => x509PopVariable(of, name));
      const agentPath = pathOf(facts);
      const twin = path[1] && otherCertificate(leaf, path[1]);
      const twinPath = twin && pathOf({ ...facts, fingerprint: fingerprintOf(twin) });
      const { selectors } = facts;
      return {
        agentPath,
        selectors,
        canReattest: true,
        ...(twinPath !== undefined && twinPath !== agentPath && { twinPath }),
      };
    },
  };
}

function parseAuthorities(authorities: readonly Uint8Array[]): readonly Certificate[] {
  const parsed = authorities.map((der, at) => {
    const certificate = attempt('ERR_NODE_ATTEST_AUTHORITIES', `certificate ${at + 1}`, () =>
      parseCertificate(der),
    );
    if (certificate.isCa) return certificate;
    const name = JSON.stringify(certificate.subject.text);
    throw refused('ERR_NODE_ATTEST_AUTHORITIES', `${name} is no certificate authority`);
  });
  if (parsed.length > 0) return parsed;
  throw refused('ERR_NODE_ATTEST_AUTHORITIES', 'the CA bundle for x509pop is empty');
}

function parseChain(chain: readonly Uint8Array[]): readonly [Certificate, ...Certificate[]] {
  const [leaf, ...others] = chain.map((der, at) =>
    attempt('ERR_NODE_ATTEST_PAYLOAD', `certificates[${at}]`, () => parseCertificate(der)),
  );
  if (leaf === undefined) throw refused('ERR_NODE_ATTEST_PAYLOAD', 'there is no certificate');
  return [leaf, ...others];
}

/** A leaf, made to sign with. */
function requireSigner({ isCa, keyUsage }: Certificate): void {
  const code = 'ERR_NODE_ATTEST_CERTIFICATE';
  if (isCa) throw refused(code, 'the certificate of the node is a certificate authority');
  if (keyUsage?.names.has('digitalSignature') === true) return;
  throw refused(code, 'the key usage of the certificate of the node lacks digitalSignature');
}

async function requireProof(
  leaf: Certificate,
  challenge: Challenge,
  randomBytes: (size: number) => Uint8Array,
): Promise<void> {
  const { kind } = leaf.keyAlgorithm;
  if (kind === 'other') throw refused('ERR_NODE_ATTEST_CERTIFICATE', 'the key is not EC or RSA');
  const asked = { kind, nonce: randomBytes(NONCE_BYTES) };
  const response = parseResponse(await challenge(encodeChallenge(asked)));
  if (response.kind !== kind) {
    const message = `the response is one of a key of the kind ${response.kind}; the certificate has ${kind}`;
    throw refused('ERR_NODE_ATTEST_RESPONSE', message);
  }
  if (isProof(leaf, asked, response)) return;
  throw refused('ERR_NODE_ATTEST_PROOF', 'the key of the certificate did not sign both nonces');
}

function attempt<T>(code: ErrorCode, what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new TrustplaneError(code, `${what}: ${messageOf(error)}`, { cause: error });
  }
}

function refused(code: ErrorCode, message: string): TrustplaneError {
  return new TrustplaneError(code, message);
}
