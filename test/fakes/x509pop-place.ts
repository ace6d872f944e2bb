import { KeyObject, randomBytes } from 'node:crypto';
import {
  type AttestedNode,
  createX509PopAttestation,
  createX509PopAttestor,
  type NodeAttestation,
  type NodeAttestor,
  type X509PopAttestorOptions,
} from '../../src/attest/index.ts';
import { silentLog } from '../../src/ops/index.ts';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { FakeClock } from './fake-clock.ts';
import {
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from './test-certificates.ts';

/** A PKI of nodes that knows nothing of SPIFFE: a root, an authority below it, and nodes of that. */
export interface NodePki {
  readonly root: TestCertificate;
  readonly middle: TestCertificate;
  node(options?: TestCertificateOptions): Promise<TestCertificate>;
}

export async function makeNodePki(): Promise<NodePki> {
  const root = await makeAuthority({ subject: 'CN=root', uris: [] });
  const middle = await makeAuthority({ subject: 'CN=middle', uris: [], issuer: root });
  const plain = { subject: 'CN=node-1', uris: [], extendedKeyUsage: null, issuer: middle };
  return { root, middle, node: (options = {}) => makeCertificate({ ...plain, ...options }) };
}

export function attestorOf(
  root: TestCertificate,
  options: Partial<X509PopAttestorOptions> = {},
): NodeAttestor {
  return createX509PopAttestor({
    trustDomain: TrustDomain.parse('a.test'),
    authorities: [root.der],
    clock: new FakeClock(testNow),
    randomBytes,
    log: silentLog,
    ...options,
  });
}

/** The agent's side with this chain, and the key of its first certificate or another. */
export function attestationWith(
  chain: readonly TestCertificate[],
  keys = chain[0]?.keys,
): NodeAttestation {
  if (keys === undefined) throw new Error('a chain has a certificate');
  const privateKey = KeyObject.from(keys.privateKey);
  const certificateChain = chain.map(({ der }) => der);
  return createX509PopAttestation({
    loadIdentity: async () => ({ certificateChain, privateKey }),
    randomBytes,
  });
}

type Change = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** What may be changed on the way between both sides. */
export interface Tampering {
  readonly payload?: Change;
  readonly challenge?: Change;
  readonly response?: Change;
}

/** Both sides against each other. */
export async function exchange(
  attestor: NodeAttestor,
  attestation: NodeAttestation,
  tampering: Tampering = {},
): Promise<AttestedNode> {
  const same: Change = (bytes) => bytes;
  const { payload = same, challenge = same, response = same } = tampering;
  const evidence = await attestation.begin();
  return attestor.attest(await payload(evidence.payload), async (asked) =>
    response(await evidence.answer(await challenge(asked))),
  );
}

/** Changes a message as JSON. */
export function editJson(edit: (message: Record<string, unknown>) => unknown): Change {
  return (bytes) => {
    const message: Record<string, unknown> = JSON.parse(Buffer.from(bytes).toString());
    return Buffer.from(JSON.stringify(edit(message)));
  };
}
