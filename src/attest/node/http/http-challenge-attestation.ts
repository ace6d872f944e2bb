import { createServer, type Server } from 'node:http';
import { messageOf, quote, TrustplaneError } from '../../../spiffe/index.ts';
import type { NodeAttestation } from '../node-attestor.ts';
import {
  challengePath,
  encodePlace,
  hostnameFault,
  parseChallenge,
} from './http-challenge-messages.ts';

const MAX_CONNECTIONS = 32;
const TIMEOUT_MS = 10_000;

export interface HttpChallengeAttestationOptions {
  /** The DNS name of this host, at which the server asks. */
  readonly hostname: string;
  /** Tells agents apart that share a host and port. */
  readonly agentName: string;
  /** Port 0: a free one. */
  readonly bindAddress: { readonly host: string; readonly port: number };
  /** The port that the server is told, where something between passes requests on; default the one that is bound. */
  readonly advertisedPort?: number | undefined;
}

/** The agent's side: serves the nonce from when the server has told it, until the attempt ends. */
export function createHttpChallengeAttestation(
  options: HttpChallengeAttestationOptions,
): NodeAttestation {
  const { hostname, agentName, bindAddress } = options;
  return {
    name: 'http_challenge',
    async begin() {
      const fault = hostnameFault(hostname);
      if (fault !== undefined) throw unusable(`its name ${fault}: ${quote(hostname)}`);
      let nonce: string | undefined;
      const server = serveNonce(challengePath(agentName), () => nonce);
      const boundPort = await listen(server, bindAddress);
      const { advertisedPort: port = boundPort } = options;
      return {
        payload: encodePlace({ hostname, agentName, port }),
        async answer(challenge) {
          nonce = parseChallenge(challenge);
          return Buffer.from('\n');
        },
        end() {
          server.close();
          server.closeAllConnections();
        },
      };
    },
  };
}

function serveNonce(path: string, nonce: () => string | undefined): Server {
  const options = { requestTimeout: TIMEOUT_MS, headersTimeout: TIMEOUT_MS, maxHeaderSize: 8_192 };
  const server = createServer(options, ({ method, url }, response) => {
    const text = method === 'GET' && url === path ? nonce() : undefined;
    response.writeHead(text === undefined ? 404 : 200, { 'Content-Type': 'text/plain' });
    response.end(text === undefined ? '' : `${text}\n`);
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

/** Resolves with the port. */
async function listen(
  server: Server,
  { host, port }: HttpChallengeAttestationOptions['bindAddress'],
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen({ host, port }, resolve);
  try {
    await promise;
  } catch (error) {
    throw unusable(`it cannot listen for the server's question: ${messageOf(error)}`, error);
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function unusable(why: string, cause?: unknown): TrustplaneError {
  const message = `this host cannot be asked over HTTP: ${why}`;
  return new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', message, { cause });
}
