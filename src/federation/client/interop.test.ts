import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import {
  answerWith,
  BundleEndpoint,
  ForeignDomain,
  redirectTo,
} from '../../../test/fakes/bundle-endpoint.ts';
import { codeOf } from '../../../test/fakes/code-of.ts';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import { openFederation, testTokenAuthority } from '../../../test/fakes/open-federation.ts';
import { silentLog } from '../../ops/index.ts';
import {
  type Bundle,
  type ErrorCode,
  emptyBundle,
  parseX509Svid,
  SpiffeId,
  serializeBundleDocument,
  TrustDomain,
  verifyX509Svid,
} from '../../spiffe/index.ts';
import { plainTerms } from '../relationship.ts';
import { FederationClient } from './federation-client.ts';

const bName = TrustDomain.parse('b.test');
const own = emptyBundle(TrustDomain.parse('a.test'));
const megabyte = 1_048_576;

let b: ForeignDomain;
let other: ForeignDomain;
beforeAll(async () => {
  b = await ForeignDomain.create('b.test');
  other = await ForeignDomain.create('b.test');
});

type Jwk = Record<string, unknown>;

/** A document with sequence 5 whose keys are the good one of b.test and others made of it. */
function document(
  others: (good: Jwk, second: Jwk) => readonly unknown[],
  more: Record<string, unknown> = {},
): string {
  const [good, second] = [b, other].map(
    (domain) => JSON.parse(serializeBundleDocument(domain.bundle())).keys[0],
  );
  return JSON.stringify({ keys: [good, ...others(good, second)], spiffe_sequence: 5, ...more });
}

const numbered = (sequence: string) =>
  serializeBundleDocument(b.bundle()).replace(/\}$/u, `,"spiffe_sequence":${sequence}}`);

/** The bundle before has the good key. */
interface Case {
  readonly what: string;
  /** Its sequence number; default 4. */
  readonly before?: bigint;
  readonly answer: () => BundleEndpoint['answer'] | Promise<BundleEndpoint['answer']>;
  /** Default: the server's own. */
  readonly serverId?: string;
  /** Why it is refused; then the bundle before stays. */
  readonly refused?: ErrorCode;
  /** What is trusted then. */
  readonly trusted?: Partial<Record<'x509' | 'jwt' | 'wit', number>>;
  readonly sequence?: bigint;
}

const jwk = (kid: string) => {
  const bundle = { ...emptyBundle(bName), jwtAuthorities: [testTokenAuthority(kid)] };
  return JSON.parse(serializeBundleDocument(bundle)).keys[0];
};

const cases: readonly Case[] = [
  {
    what: 'a key with an unknown use is ignored, the rest counts (BUNDLE-3)',
    answer: () => answerWith(document((_, second) => [{ ...second, use: 'new-svid' }])),
  },
  {
    what: 'a key whose use is written otherwise is ignored (BUNDLE-3)',
    answer: () => answerWith(document((_, second) => [{ ...second, use: 'X509-SVID' }])),
  },
  {
    what: 'a key without use is ignored (BUNDLE-3)',
    answer: () => answerWith(document((_, { use: _use, ...second }) => [second])),
  },
  {
    what: 'a key with an unknown kty is ignored (BUNDLE-3)',
    answer: () => answerWith(document((_, second) => [{ ...second, kty: 'OKP' }])),
  },
  {
    what: 'a key with two x5c values is its first one alone',
    answer: () =>
      answerWith(
        document((good, second) => [{ ...good, x5c: [good['x5c'], second['x5c']].flat() }]),
      ),
  },
  {
    what: 'a wit-svid key is kept',
    answer: () => answerWith(document(() => [{ ...jwk('w'), use: 'wit-svid' }, jwk('j')])),
    trusted: { x509: 1, jwt: 1, wit: 1 },
  },
  {
    what: 'members that nobody knows are ignored',
    answer: () => answerWith(document((good) => [{ ...good, x5t: 'x', note: {} }], { more: [1] })),
  },
  {
    what: 'keys: [] ends all trust (BUNDLE-2)',
    answer: () => answerWith('{"keys":[],"spiffe_sequence":5}'),
    trusted: { x509: 0 },
  },
  {
    what: 'keys of which none is usable end all trust (BUNDLE-2)',
    answer: () => answerWith('{"keys":[{"kty":"EC"},{"use":"x509-svid"}],"spiffe_sequence":5}'),
    trusted: { x509: 0 },
  },
  {
    what: 'a sequence number beyond 2^53 is exact (BUNDLE-4)',
    before: 9_007_199_254_740_992n,
    answer: () => answerWith(numbered('9007199254740993')),
    sequence: 9_007_199_254_740_993n,
  },
  {
    what: 'a sequence number that leaps is refused',
    answer: () => answerWith(numbered('9007199254740993')),
    refused: 'ERR_BUNDLE_SEQUENCE',
  },
  ...['-1', '5.5', '"5"', 'null', 'true'].map((sequence) => ({
    what: `the sequence number ${sequence} is refused (BUNDLE-4)`,
    answer: () => answerWith(numbered(sequence)),
    refused: 'ERR_BUNDLE' as const,
  })),
  {
    what: 'a lower sequence number is refused (FED-7)',
    answer: () => answerWith(numbered('3')),
    refused: 'ERR_BUNDLE_SEQUENCE',
  },
  {
    what: 'the same sequence number with other keys is refused (BUNDLE-4)',
    answer: () => answerWith(document((_, second) => [second], { spiffe_sequence: 4 })),
    refused: 'ERR_BUNDLE_SEQUENCE',
  },
  {
    what: 'duplicate member names are refused (BUNDLE-12)',
    answer: () => answerWith('{"keys":[],"keys":[]}'),
    refused: 'ERR_JSON',
  },
  {
    what: 'duplicate member names in a key are refused (BUNDLE-12)',
    answer: () => answerWith('{"keys":[{"kty":"EC","kty":"RSA"}]}'),
    refused: 'ERR_JSON',
  },
  {
    what: '2 MB are refused (BUNDLE-12)',
    answer: () => answerWith(numbered('5') + ' '.repeat(2 * megabyte)),
    refused: 'ERR_FETCH_TOO_LARGE',
  },
  {
    what: '1001 keys are refused (BUNDLE-12)',
    answer: () => answerWith(JSON.stringify({ keys: Array.from({ length: 1_001 }, () => ({})) })),
    refused: 'ERR_BUNDLE',
  },
  {
    what: 'no keys are refused',
    answer: () => answerWith('{"spiffe_sequence":5}'),
    refused: 'ERR_BUNDLE',
  },
  {
    what: 'a redirect to http on another host is refused (FED-14)',
    answer: () => redirectTo('http://elsewhere.example/bundle'),
    refused: 'ERR_FETCH_REDIRECT',
  },
  {
    what: 'a redirect to another host that is the same server is followed (FED-14)',
    answer: async () => {
      const target = await BundleEndpoint.open(await b.svid(), answerWith(numbered('5')));
      return redirectTo(target.url('localhost'), 307);
    },
  },
  {
    what: 'a redirect to another host that is another server is refused (FED-14)',
    answer: async () => {
      const cdn = await b.svid('spiffe://b.test/cdn');
      const target = await BundleEndpoint.open(cdn, answerWith(numbered('5')));
      return redirectTo(target.url('localhost'), 307);
    },
    refused: 'ERR_TLS_SERVER_ID',
  },
  {
    what: 'an endpoint with the right authority and the wrong ID is refused (FED-16)',
    serverId: 'spiffe://b.test/workload',
    answer: () => answerWith(numbered('5')),
    refused: 'ERR_TLS_SERVER_ID',
  },
];

async function open({ serverId, before: sequenceNumber = 4n, answer }: Case) {
  const ground = await openFederation({ clock: new FakeClock(Date.now()) });
  const { relationships, bundles: foreignBundles } = ground;
  const endpoint = await BundleEndpoint.open(await b.svid(serverId), await answer());
  const before = b.bundle({ sequenceNumber });
  await foreignBundles.set(before);
  const client = new FederationClient({
    ...ground,
    foreignBundles,
    trust: { current: () => ({ own, federated: foreignBundles.current(), terms: new Map() }) },
    random: (bytes) => Buffer.alloc(bytes),
    log: silentLog,
  });
  onTestFinished(() => client.close());
  await relationships.create({
    ...plainTerms,
    trustDomain: bName,
    bundleEndpointUrl: endpoint.url(),
    profile: { type: 'https_spiffe', endpointSpiffeId: SpiffeId.parse(b.serverId) },
  });
  return { client, foreignBundles, before };
}

/** What a workload of b.test is told by whoever trusts the bundle. */
async function verdictOn(bundle: Bundle): Promise<string | undefined> {
  const svid = parseX509Svid((await b.svid('spiffe://b.test/w')).certificateChain);
  return await codeOf(async () => verifyX509Svid(svid, bundle, Date.now()));
}

describe('bundles as others publish them', () => {
  it.each(cases)('$what', async (each) => {
    const { refused, trusted, sequence = 5n } = each;
    const { client, foreignBundles, before } = await open(each);
    expect(await codeOf(() => client.refresh(bName))).toBe(refused);
    expect(client.status(bName)?.lastError?.code).toBe(refused);
    const bundle = foreignBundles.get(bName) ?? emptyBundle(bName);
    expect(bundle.sequenceNumber).toBe(refused === undefined ? sequence : before.sequenceNumber);
    const counted = {
      x509: bundle.x509Authorities.length,
      jwt: bundle.jwtAuthorities.length,
      wit: bundle.witAuthorities.length,
    };
    expect(counted).toEqual({ x509: 1, jwt: 0, wit: 0, ...trusted });
    const verdict = trusted?.x509 === 0 ? 'ERR_X509_NO_AUTHORITY' : undefined;
    expect(await verdictOn(bundle)).toBe(verdict);
  });
});
