import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { editJson, exchange, type Tampering } from '../../../../test/fakes/x509pop-place.ts';
import {
  type DocumentMutation,
  describeMutations,
} from '../../../../test/suites/node-attestor-mutations.ts';
import { type ErrorCode, formatSelector } from '../../../spiffe/index.ts';
import {
  createAskHttp,
  createHttpChallengeAttestation,
  createHttpChallengeAttestor,
  type HttpChallengeAttestationOptions,
  type HttpChallengeAttestorOptions,
} from '../../index.ts';
import { createAddressGuard } from './challenge-address.ts';
import { parseDnsPattern } from './dns-pattern.ts';

const loopback = ['127.0.0.0/8'];
const bindAddress = { host: '127.0.0.1', port: 0 };

function attestorOf(options: Partial<HttpChallengeAttestorOptions> = {}) {
  return createHttpChallengeAttestor({
    allowedDnsPatterns: ['node-*.prod.example'],
    allowedAddresses: loopback,
    resolve: async () => ['127.0.0.1'],
    ask: createAskHttp({ timeoutMs: 300 }),
    randomBytes,
    ...options,
  });
}

function attestationOf(options: Partial<HttpChallengeAttestationOptions> = {}) {
  const own = { hostname: 'node-1.prod.example', agentName: 'default', bindAddress };
  return createHttpChallengeAttestation({ ...own, ...options });
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('the server does not listen');
}

/** What stands between an agent and a server that lets it in, and how that server sees the host. */
interface Exchange {
  readonly attestor: Partial<HttpChallengeAttestorOptions>;
  readonly attestation: Partial<HttpChallengeAttestationOptions>;
  readonly tampering: Tampering;
}

type Mutation = DocumentMutation<Exchange>;
const payloadCode = 'ERR_NODE_ATTEST_PAYLOAD';

/** The payload says something else. */
function says(
  what: string,
  reason: string,
  change: Record<string, unknown>,
  code: ErrorCode = payloadCode,
): Mutation {
  const payload = editJson((message) => ({ ...message, ...change }));
  return { what, reason, code, mutate: (document) => ({ ...document, tampering: { payload } }) };
}

function sees(
  what: string,
  code: ErrorCode,
  reason: string,
  attestor: Exchange['attestor'],
): Mutation {
  return { what, reason, code, mutate: (document) => ({ ...document, attestor }) };
}

/** Another program answers at the port that the agent names. */
function answers(what: string, code: ErrorCode, reason: string, answer: RequestListener): Mutation {
  return elsewhere(what, code, reason, () => createServer(answer));
}

function elsewhere(what: string, code: ErrorCode, reason: string, create: () => Server): Mutation {
  const mutate = async (document: Exchange) => {
    const server = create();
    await new Promise<void>((resolve) => server.listen(bindAddress, resolve));
    onTestFinished(() => void server.close());
    const port = portOf(server);
    return { ...document, attestation: { advertisedPort: port } };
  };
  return { what, reason, code, mutate };
}

const host = 'ERR_NODE_ATTEST_HOST';
const proof = 'ERR_NODE_ATTEST_PROOF';
const silent = 'ERR_NODE_ATTEST_NO_ANSWER';
const resolving = (...addresses: readonly string[]) => ({ resolve: async () => addresses });
const guarded = { allowedAddresses: undefined };

const mutations: readonly Mutation[] = [
  says('no hostname', 'no text in hostname', { hostname: undefined }),
  says('a hostname in capitals', 'not in lower case', { hostname: 'Node-1.prod.example' }),
  says('a hostname with a path', 'no DNS name', { hostname: 'node-1.prod.example/x' }),
  {
    ...says('a hostname with a dot at its end', 'no DNS name', {
      hostname: 'node-1.prod.example.',
    }),
    sameReasonAs: 'a hostname with a path',
  },
  {
    ...says('a hostname with credentials', 'no DNS name', { hostname: 'a@node-1.prod.example' }),
    sameReasonAs: 'a hostname with a path',
  },
  says('an address', 'is an address', { hostname: '169.254.169.254' }),
  {
    ...says('an address in hex', 'is an address', { hostname: '0x7f000001' }),
    sameReasonAs: 'an address',
  },
  {
    ...says('an address in two parts', 'is an address', { hostname: '127.1' }),
    sameReasonAs: 'an address',
  },
  says("the server's own name", "the server's own", { hostname: 'node-1.localhost' }),
  says('a hostname of 300 characters', '300 characters', { hostname: 'a'.repeat(300) }),
  says('no agent name', 'no text in agentname', { agentname: '' }),
  says('an agent name that leaves its segment', 'not letters', { agentname: '../x' }),
  says('an agent name of 33 characters', '33 characters', { agentname: 'a'.repeat(33) }),
  says('a port that is a text', 'has a port', { port: '80' }),
  { ...says('port 65536', 'has a port', { port: 65_536 }), sameReasonAs: 'a port that is a text' },
  { ...says('port 0', 'has a port', { port: 0 }), sameReasonAs: 'a port that is a text' },
  says(
    'a host of nobody',
    'no allowed pattern',
    { hostname: 'node-1.prod.example.evil.test' },
    host,
  ),
  {
    what: 'no JSON',
    code: payloadCode,
    reason: 'cannot be read',
    mutate: (document) => ({ ...document, tampering: { payload: () => Buffer.from('x') } }),
  },
  {
    what: 'a hostname twice',
    code: payloadCode,
    reason: 'duplicate member',
    mutate: (document) => ({
      ...document,
      tampering: {
        payload: (bytes) =>
          Buffer.from(Buffer.from(bytes).toString().replace('{', '{"hostname":"a.test",')),
      },
    }),
  },
  {
    what: '5 KiB',
    code: payloadCode,
    reason: 'at most 4096',
    mutate: (document) => ({ ...document, tampering: { payload: () => Buffer.alloc(5_120, 32) } }),
  },
  sees('another port than the one required', 'ERR_NODE_ATTEST_PORT', 'hosts answer at the port', {
    requiredPort: 80,
  }),
  sees('a port that any user may open', 'ERR_NODE_ATTEST_PORT', 'ports below', {
    allowNonRootPorts: false,
  }),
  sees('a name that is not resolved', silent, 'not resolved: ENOTFOUND', {
    resolve: () => Promise.reject(new Error('ENOTFOUND')),
  }),
  sees('a name without address', silent, 'no address', resolving()),
  sees(
    'nine addresses',
    host,
    'at most 8',
    resolving(...Array.from({ length: 9 }, () => '127.0.0.1')),
  ),
  sees('an address outside of the networks', host, 'not to be asked', resolving('10.0.0.1')),
  ...[
    '127.0.0.1',
    '169.254.169.254',
    '0.0.0.0',
    '::1',
    '::ffff:127.0.0.1',
    'fe80::1',
    'fd00:ec2::254',
  ].map(
    (address): Mutation => ({
      ...sees(`the address ${address}`, host, address, { ...guarded, ...resolving(address) }),
      sameReasonAs: 'an address outside of the networks',
    }),
  ),
  {
    ...sees('one good address and one of the server', host, '127.0.0.1', {
      ...guarded,
      ...resolving('10.0.0.1', '127.0.0.1'),
    }),
    sameReasonAs: 'an address outside of the networks',
  },
  answers('another nonce', proof, 'another nonce', (_, response) => response.end('x'.repeat(44))),
  {
    ...answers('an empty answer', proof, 'another nonce', (_, response) => response.end()),
    sameReasonAs: 'another nonce',
  },
  answers('a status that is no success', proof, 'status 404', (_, response) => {
    response.writeHead(404).end();
  }),
  {
    ...answers('a redirect', proof, 'status 302', (_, response) => {
      response.writeHead(302, { Location: 'http://127.0.0.1/' }).end();
    }),
    sameReasonAs: 'a status that is no success',
  },
  answers('an answer without end', silent, 'over 1024 bytes', (_, response) => {
    const more = (): void => void (response.write('x'.repeat(4_096)) && setImmediate(more));
    more();
  }),
  answers('silence', silent, 'no answer within', () => {}),
  elsewhere('something that is not HTTP', silent, 'Parse Error', () =>
    createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n')),
  ),
  elsewhere('a connection that is cut', silent, 'socket hang up', () =>
    createTcpServer((socket) => socket.destroy()),
  ),
  {
    what: 'a port where nobody listens',
    code: silent,
    reason: 'ECONNREFUSED',
    mutate: (document) => ({ ...document, attestation: { advertisedPort: 1 } }),
  },
  {
    what: 'another agent name than the one that answers',
    code: proof,
    reason: 'status 404',
    sameReasonAs: 'a status that is no success',
    mutate: (document) => ({
      ...document,
      tampering: { payload: editJson((message) => ({ ...message, agentname: 'other' })) },
    }),
  },
  {
    what: 'the answer to another challenge',
    code: proof,
    reason: 'another nonce',
    sameReasonAs: 'another nonce',
    mutate: (document) => ({
      ...document,
      tampering: { challenge: editJson(() => ({ nonce: `${'A'.repeat(43)}=` })) },
    }),
  },
];

/** Both sides, until the attempt ends. */
async function attempt({ attestor, attestation, tampering }: Exchange) {
  const own = attestationOf(attestation);
  let end: (() => void) | undefined;
  const begin = async () => {
    const evidence = await own.begin();
    end = evidence.end;
    return evidence;
  };
  try {
    return await exchange(attestorOf(attestor), { name: own.name, begin }, tampering);
  } finally {
    end?.();
  }
}

describeMutations<Exchange>(
  'http_challenge',
  async () => ({ document: { attestor: {}, attestation: {}, tampering: {} }, attest: attempt }),
  mutations,
);

const plain = { attestor: {}, attestation: {}, tampering: {} };

describe('a host that answers at its name', () => {
  it('joins once, with the ID and the selector that SPIRE gives', async () => {
    const { selectors, ...attested } = await attempt(plain);
    expect(attested).toEqual({
      agentPath: '/spire/agent/http_challenge/node-1.prod.example',
      canReattest: false,
      isFirstUseOnly: true,
    });
    expect(selectors.map(formatSelector)).toEqual(['http_challenge:hostname:node-1.prod.example']);
  });

  it('may come again where only root can answer', async () => {
    const ports: number[] = [];
    const ask: HttpChallengeAttestorOptions['ask'] = async (url, question) => {
      ports.push(Number(new URL(url).port || 80));
      return await createAskHttp()(url.replace('127.0.0.1:80/', `127.0.0.1:${port}/`), question);
    };
    const own = attestationOf({ advertisedPort: 80 });
    const evidence = await own.begin();
    evidence.end?.();
    const nonce: { value?: string } = {};
    const server = createServer((_, response) => response.end(nonce.value));
    await new Promise<void>((resolve) => server.listen(bindAddress, resolve));
    onTestFinished(() => void server.close());
    const port = portOf(server);
    const attestor = attestorOf({ tofu: false, requiredPort: 80, ask });
    const attested = await attestor.attest(evidence.payload, async (challenge) => {
      nonce.value = JSON.parse(Buffer.from(challenge).toString()).nonce;
      return Buffer.from('\n');
    });
    expect(attested).toMatchObject({ canReattest: true });
    expect(attested.isFirstUseOnly).toBeUndefined();
    expect(ports).toEqual([80]);
  });

  it('is asked by its name, at the first of its addresses that answers', async () => {
    const asked: (string | undefined)[] = [];
    const ask: HttpChallengeAttestorOptions['ask'] = async (url, question) => {
      asked.push(new URL(url).hostname, question?.headers?.['Host']?.split(':')[0]);
      return await createAskHttp({ timeoutMs: 300 })(url, question);
    };
    const attestor = { ask, ...resolving('127.0.0.2', '127.0.0.1') };
    await expect(attempt({ ...plain, attestor })).resolves.toBeDefined();
    const name = 'node-1.prod.example';
    expect(asked).toEqual(['127.0.0.2', name, '127.0.0.1', name]);
  });

  it('is resolved once: what is asked is what was checked', async () => {
    let resolved = 0;
    const resolve = async () => (resolved++ === 0 ? ['127.0.0.1'] : ['169.254.169.254']);
    await expect(attempt({ ...plain, attestor: { resolve } })).resolves.toBeDefined();
    expect(resolved).toBe(1);
  });

  it('listens no longer than for the attempt, and says nothing before it is challenged', async () => {
    const evidence = await attestationOf().begin();
    const { port } = JSON.parse(Buffer.from(evidence.payload).toString());
    const url = `http://127.0.0.1:${port}/.well-known/spiffe/nodeattestor/http_challenge/default/challenge`;
    const ask = createAskHttp();
    expect((await ask(url)).status).toBe(404);
    const nonce = `${'A'.repeat(43)}=`;
    await evidence.answer(Buffer.from(JSON.stringify({ nonce })));
    expect((await ask(url)).body.toString()).toBe(`${nonce}\n`);
    expect((await ask(url, { method: 'POST' })).status).toBe(404);
    evidence.end?.();
    await expect(ask(url)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('the agent', () => {
  it.each([
    [{ hostname: 'Node' }, 'not in lower case'],
    [{ hostname: 'localhost' }, "the server's own"],
    [{ bindAddress: { host: '192.0.2.1', port: 0 } }, 'cannot listen'],
  ])('says that %j is of no use', async (options, message) => {
    await expect(attestationOf(options).begin()).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_IDENTITY',
      message: expect.stringContaining(message),
    });
  });

  it('serves no text but a nonce', async () => {
    const { answer, end } = await attestationOf().begin();
    onTestFinished(() => end?.());
    const challenge = Buffer.from(JSON.stringify({ nonce: '<script>' }));
    await expect(answer(challenge)).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_CHALLENGE' });
  });
});

describe('the configuration', () => {
  it.each([
    [{ tofu: false }, 'tofu: false needs'],
    [{ tofu: false, requiredPort: 8080 }, 'tofu: false needs'],
    [{ requiredPort: 8080, allowNonRootPorts: false }, 'excludes the requiredPort'],
    [{ allowedDnsPatterns: ['p[0-9]+.example'] }, 'pattern of host names'],
    [{ allowedDnsPatterns: ['*-*-*.example'] }, 'pattern of host names'],
    [{ allowedDnsPatterns: ['**'] }, 'pattern of host names'],
    [{ allowedAddresses: ['10.0.0.0'] }, 'network such as'],
    [{ allowedAddresses: ['10.0.0.0/33'] }, 'network such as'],
  ])('is refused for %j', (options, message) => {
    expect(() => attestorOf(options)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(message) }),
    );
  });

  it.each([
    { tofu: false, requiredPort: 80 },
    { tofu: false, allowNonRootPorts: false },
  ])('may be %j', (options) => {
    expect(attestorOf(options).name).toBe('http_challenge');
  });
});

it.each([
  ['node-1.prod.example', 'node-1.prod.example', true],
  ['node-1.prod.example', 'node-2.prod.example', false],
  ['node-*.prod.example', 'node-.prod.example', true],
  ['node-*.prod.example', 'node-1.eu.prod.example', false],
  ['*.prod.example', 'prod.example', false],
  ['**.prod.example', 'a.b.prod.example', true],
  ['**.prod.example', 'prod.example', false],
  ['**.prod.example', 'aprod.example', false],
  ['a*b*c', 'a-x-b--c', true],
])('the pattern %s matches %s: %s', (pattern, hostname, matches) => {
  expect(parseDnsPattern(pattern)(hostname)).toBe(matches);
});

it.each(['::1', '::a9fe:a9fe', '64:ff9b:1::a9fe:a9fe', '2002:a9fe:a9fe::1', '2001:0:a9fe:a9fe::1'])(
  'asks nothing at %s, which may be an address of IPv4',
  (address) => {
    expect(createAddressGuard()(address)).toBe(false);
  },
);

it('asks hosts at private and public addresses', () => {
  const isAllowed = createAddressGuard();
  for (const address of ['10.1.2.3', '192.168.0.1', '203.0.113.7', '2001:db8::1', 'fd12::1'])
    expect(isAllowed(address)).toBe(true);
});
