import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { launchMesh, type Mesh } from '../programs/launch-mesh.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { launchVariant } from './launch-variant.ts';

/** A key and a chain as PEM. */
type Credentials = Pick<ConnectionOptions, 'key' | 'cert'>;

/** What a bare TLS client got: an HTTP answer, or nothing. */
interface Exchange {
  readonly answer: string;
  readonly isResumed: boolean;
  readonly session: Buffer | undefined;
  /** Session tickets that came. */
  readonly tickets: number;
}

async function exchange(socketPath: string, options: ConnectionOptions): Promise<Exchange> {
  return await new Promise((resolve) => {
    let answer = '';
    let tickets = 0;
    let session: Buffer | undefined;
    let isResumed = false;
    const socket: TLSSocket = connect({ path: socketPath, rejectUnauthorized: false, ...options });
    socket.setTimeout(5000, () => socket.destroy());
    socket.on('secureConnect', () => {
      isResumed = socket.isSessionReused();
      session = socket.getSession();
      socket.write('GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n');
    });
    socket.on('session', (ticket) => {
      session = ticket;
      tickets += 1;
    });
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve({ answer, isResumed, session, tickets }));
  });
}

/** Has the command line write the SVIDs of this process; client's entry is the older one. */
async function fetchCredentials(mesh: Mesh): Promise<{ client: Credentials; server: Credentials }> {
  const socket = ['--socket', mesh.trustplane.socket];
  const written = await runTrustplane('api', 'fetch', 'x509', '--write', mesh.folder, ...socket);
  expect(written.stderr).toBe('');
  const load = async (index: number) => ({
    key: await readFile(path.join(mesh.folder, `svid.${index}.key`)),
    cert: await readFile(path.join(mesh.folder, `svid.${index}.pem`)),
  });
  return { client: await load(0), server: await load(1) };
}

describe('the server sidecar', () => {
  it('lets in the client with its SVID, and nobody without one', async () => {
    await using mesh = await launchMesh('sotw');
    await mesh.register();
    const { inboundSocket, server } = mesh.pair;
    const { client } = await fetchCredentials(mesh);
    expect((await exchange(inboundSocket, client)).answer).toMatch(/^HTTP\/1.1 200 /);
    expect((await exchange(inboundSocket, {})).answer).toBe('');
    const refused = await eventually('Envoy counts the refusal', async () =>
      [...(await server.stats('inbound.*fail_verify_no_cert')).values()].find((value) => value > 0),
    );
    expect(refused).toBe(1);
  });

  it('refuses another SPIFFE ID of the same trust domain', async () => {
    await using mesh = await launchMesh('sotw');
    await mesh.register();
    const { inboundSocket, server } = mesh.pair;
    const credentials = await fetchCredentials(mesh);
    expect((await exchange(inboundSocket, credentials.server)).answer).toBe('');
    const refused = await eventually('Envoy counts the refusal', async () =>
      [...(await server.stats('inbound.*fail_verify_san')).values()].find((value) => value > 0),
    );
    expect(refused).toBe(1);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('resumes no session over %s (F4)', async (version) => {
    await using mesh = await launchMesh('sotw');
    await mesh.register();
    const { client } = await fetchCredentials(mesh);
    const options = { ...client, minVersion: version, maxVersion: version };
    const { first, second } = await connectTwice(mesh.pair.inboundSocket, options);
    expect(first.answer).toMatch(/^HTTP\/1.1 200 /);
    expect(second.answer).toMatch(/^HTTP\/1.1 200 /);
    expect({ tickets: first.tickets, isResumed: second.isResumed }).toEqual({
      tickets: 0,
      isResumed: false,
    });
    const { envoy, inboundSocket } = await launchVariant(mesh, allowResumption);
    try {
      await envoy.waitReady();
      const control = await connectTwice(inboundSocket, options);
      expect(control.second.isResumed, 'the same client resumes where Envoy allows it').toBe(true);
    } finally {
      await envoy.stop();
    }
  });
});

async function connectTwice(
  socketPath: string,
  options: ConnectionOptions,
): Promise<{ first: Exchange; second: Exchange }> {
  const first = await exchange(socketPath, options);
  const session = first.session === undefined ? {} : { session: first.session };
  return { first, second: await exchange(socketPath, { ...options, ...session }) };
}

/** Takes out the two lines that turn resumption off. */
function allowResumption(bootstrap: string): string {
  return bootstrap.replaceAll(/^ *disable_state\w+_session_resumption: true\n/gm, '');
}
