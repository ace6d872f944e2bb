import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect as connectPlain, type Socket } from 'node:net';
import path from 'node:path';
import { connect as connectTls } from 'node:tls';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import { appId } from './launch.ts';

/** Sends `GET /user` or another line with header lines as they are; resolves with what came of it in a few words. */
export type Caller = (
  line: string,
  headers?: readonly (readonly [string, string])[],
) => Promise<string>;

/** Plain HTTP to a Unix socket. */
export function plainCaller(socketPath: string): Caller {
  return async (line, headers = []) => await send(connectPlain(socketPath), line, headers);
}

/** An identity as files of PEM; `undefined` shows none. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Fetches it as a workload does, over the Workload API. */
export async function fetchIdentity(
  agentSocket: string,
  folder: string,
  id: string,
): Promise<Identity> {
  const flags = ['--socket', agentSocket, '--write', folder, '--output', 'json'];
  const { code, stdout, stderr } = await runTrustplane('api', 'fetch', 'x509', ...flags);
  if (code !== 0) throw new Error(`api fetch x509 failed: ${stderr}`);
  const { svids }: { svids: readonly { spiffeId: string }[] } = JSON.parse(stdout);
  const at = svids.findIndex(({ spiffeId }) => spiffeId === id);
  const read = (name: string): string => readFileSync(path.join(folder, name), 'utf8');
  return {
    cert: read(`svid.${at}.pem`),
    key: read(`svid.${at}.key`),
    ca: read(`bundle.${at}.pem`),
  };
}

/** A workload that speaks mTLS itself, and writes what it likes. */
export function tlsCaller(socketPath: string, { ca, ...shown }: Partial<Identity>): Caller {
  return async (line, headers = []) => {
    const socket = connectTls({
      path: socketPath,
      ...shown,
      ...(ca !== undefined && { ca }),
      checkServerIdentity: (_, { subjectaltname }) =>
        subjectaltname === `URI:${appId}` ? undefined : new Error(`${subjectaltname} answered`),
    });
    return await send(socket, line, headers);
  };
}

async function send(
  socket: Socket,
  line: string,
  headers: readonly (readonly [string, string])[],
): Promise<string> {
  const [method = '', target = ''] = line.split(' ');
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = request({
        createConnection: () => socket,
        method,
        path: target,
        headers: ['host', 'issues', 'connection', 'close', ...headers.flat()],
        signal: AbortSignal.timeout(5000),
      });
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve(wording(incoming.statusCode ?? 0, Buffer.concat(chunks).toString())),
        );
      });
      outgoing.end();
    });
  } catch (error) {
    return wordingOf(error);
  } finally {
    socket.destroy();
  }
}

function wordingOf(error: unknown): string {
  if (!(error instanceof Error)) throw new Error('no error was thrown');
  const isTls = 'code' in error && String(error.code).startsWith('ERR_SSL_');
  return isTls ? 'no connection' : `failed: ${error.message}`;
}

/** `200 as ada (shop)`: the status, and for whom the application took the caller. */
function wording(status: number, body: string): string {
  if (status !== 200 && status !== 201) return String(status);
  const { name, groups }: { name: string; groups: readonly string[] } = JSON.parse(body);
  return `${status} as ${name} (${groups.join(',')})`;
}
