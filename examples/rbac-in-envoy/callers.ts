import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import type { Place, Sidecar } from './launch.ts';
import { batchId, shopId, webId } from './launch.ts';

/** What is sent: `GET /items/7`, and headers. */
export interface Line {
  readonly line: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends it on a connection that stays open; resolves with the status, or with what went wrong. */
export type Caller = (line: Line) => Promise<string>;

/** Who calls one Envoy. */
export interface Callers {
  readonly sidecar: Sidecar;
  readonly web: Caller;
  readonly batch: Caller;
  /** Shows no certificate. */
  readonly nobody: Caller;
}

/** Fetches the identities as workloads do, over the Workload API; closed with `stack`. */
export async function createCallers(
  place: Place,
  stack: AsyncDisposableStack,
): Promise<readonly Callers[]> {
  const { agentSocket, folder, sidecars } = place;
  const flags = ['--socket', agentSocket, '--write', folder, '--output', 'json'];
  const { code, stdout, stderr } = await runTrustplane('api', 'fetch', 'x509', ...flags);
  if (code !== 0) throw new Error(`api fetch x509 failed: ${stderr}`);
  const { svids }: { svids: readonly { spiffeId: string }[] } = JSON.parse(stdout);
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
  const identityOf = (id: string): object => {
    const at = svids.findIndex(({ spiffeId }) => spiffeId === id);
    return { cert: read(`svid.${at}.pem`), key: read(`svid.${at}.key`) };
  };
  const ca = read('bundle.0.pem');
  return sidecars.map((sidecar) => {
    const caller = (identity: object): Caller => createCaller(sidecar.socket, ca, identity, stack);
    const [web, batch] = [caller(identityOf(webId)), caller(identityOf(batchId))];
    return { sidecar, web, batch, nobody: caller({}) };
  });
}

function createCaller(
  socketPath: string,
  ca: string,
  identity: object,
  stack: AsyncDisposableStack,
): Caller {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 1,
    ca,
    ...identity,
    checkServerIdentity: (_, { subjectaltname }) =>
      subjectaltname === `URI:${shopId}` ? undefined : new Error(`${subjectaltname} answered`),
  });
  stack.defer(() => agent.destroy());
  return async ({ line, headers = {} }) => {
    const [method = '', target = ''] = line.split(' ');
    return await new Promise((resolve) => {
      const outgoing = request({
        agent,
        socketPath,
        method,
        path: target,
        headers: { host: 'shop', ...headers },
        signal: AbortSignal.timeout(5000),
      });
      outgoing.on('error', (error) => resolve(wordingOf(error)));
      outgoing.on('response', (incoming) => {
        incoming.resume();
        incoming.on('error', (error) => resolve(wordingOf(error)));
        incoming.on('end', () => resolve(String(incoming.statusCode)));
      });
      outgoing.end();
    });
  };
}

function wordingOf(error: Error): string {
  const isTls = 'code' in error && String(error.code).startsWith('ERR_SSL_');
  return isTls ? 'no connection' : `failed: ${error.message}`;
}
