import { X509Certificate } from 'node:crypto';
import { splitDerSequence } from '../../../src/spiffe/index.ts';
import { runProgram } from '../run-program.ts';
import { spawnTied, type TiedChild } from '../tied-child.ts';

/** What a workload was given, as SPIRE's own client read it. */
export interface FetchedSvid {
  readonly spiffeId: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Certificates up to the authority. */
  readonly chainLength: number;
  /** SHA-256 of the authority in its bundle below which it is. */
  readonly authority: string;
}

/** A workload of SPIRE's own making: `spire-agent api` at a Workload API, whoever serves it. */
export interface SpireWorkload {
  /** Throws with what the client said. */
  fetchX509(): Promise<readonly FetchedSvid[]>;
  /** Of what it is given for that ID now, if anything. */
  serialOf(spiffeId: string): Promise<string | undefined>;
  /** The token of the first JWT-SVID. */
  fetchJwt(audience: string): Promise<string>;
  /** The SPIFFE ID of a good token. Throws with what the client said. */
  validateJwt(audience: string, token: string): Promise<string>;
  /** Prints a line with `Received` for every update of an open stream. */
  watch(): TiedChild;
}

export function createSpireWorkload(program: string, socket: string): SpireWorkload {
  const ask = async (...args: readonly string[]): Promise<string> => {
    const finished = await runProgram(program, ['api', ...args, '-socketPath', socket]);
    if (finished.code === 0) return finished.stdout;
    throw new Error(`${finished.stdout}${finished.stderr}`.trim());
  };
  const fetchX509 = async (): Promise<readonly FetchedSvid[]> => {
    const answer: X509Answer = JSON.parse(await ask('fetch', 'x509', '-output', 'json'));
    return answer.svids.map(readSvid);
  };
  return {
    fetchX509,
    async serialOf(id) {
      return (await fetchX509()).find(({ spiffeId }) => spiffeId === id)?.serialNumber;
    },
    async fetchJwt(audience) {
      const args = ['fetch', 'jwt', '-audience', audience, '-output', 'json'];
      const [{ svids }]: [{ svids: { svid: string }[] }] = JSON.parse(await ask(...args));
      return svids[0]?.svid ?? '';
    },
    async validateJwt(audience, token) {
      const args = ['validate', 'jwt', '-audience', audience, '-svid', token, '-output', 'json'];
      const { spiffe_id }: { spiffe_id: string } = JSON.parse(await ask(...args));
      return spiffe_id;
    },
    watch: () => spawnTied(program, ['api', 'watch', '-socketPath', socket]),
  };
}

interface X509Answer {
  readonly svids: readonly {
    readonly spiffe_id: string;
    readonly x509_svid: string;
    readonly bundle: string;
  }[];
}

function readSvid({ spiffe_id, x509_svid, bundle }: X509Answer['svids'][number]): FetchedSvid {
  const chain = certificates(x509_svid);
  const [leaf] = chain;
  if (leaf === undefined) throw new Error('an X509-SVID without a certificate');
  const isLinked = chain.every((each, i) => i === 0 || chain[i - 1]?.verify(each.publicKey));
  const authority = certificates(bundle).find((each) => chain.at(-1)?.verify(each.publicKey));
  if (!isLinked || authority === undefined)
    throw new Error(`${spiffe_id} is signed by nobody in its bundle`);
  return {
    spiffeId: spiffe_id,
    serialNumber: leaf.serialNumber.toLowerCase(),
    chainLength: chain.length,
    authority: authority.fingerprint256,
  };
}

function certificates(base64: string): X509Certificate[] {
  const ders = splitDerSequence(Buffer.from(base64, 'base64'), 64);
  return ders.map((der) => new X509Certificate(der));
}
