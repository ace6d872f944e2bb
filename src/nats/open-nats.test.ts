import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { nkeys } from '@nats-io/transport-node';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../../test/programs/eventually.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { launchNatsCluster } from '../../test/programs/launch-nats-cluster.ts';
import { launchNatsServer } from '../../test/programs/launch-nats-server.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { createMetrics, type Log, silentLog, systemClock } from '../ops/index.ts';
import { connectNats, type NatsLink, type NatsOptions, openNats } from './index.ts';
import { createNkeyFile } from './nkey-file.ts';

function optionsFor(...servers: readonly string[]): NatsOptions {
  const common = { clock: systemClock, log: silentLog, metrics: createMetrics() };
  return { servers, purpose: 'test', name: 'here', ...common };
}

/** Resolves with the next change of a link's connection. */
async function change(link: NatsLink): Promise<boolean> {
  return await new Promise((resolve) => {
    const stop = link.watch((isConnected) => {
      stop();
      resolve(isConnected);
    });
  });
}

it('comes back after the nats-server was killed, with the subscriptions it had', async () => {
  await using server = await launchNatsServer();
  const options = optionsFor(server.url);
  const link = await connectNats(options);
  onTestFinished(() => link.close());
  const { connection } = link;
  const heard = connection.subscribe('news')[Symbol.asyncIterator]();
  const lost = change(link);
  await server.kill();
  expect(await lost).toBe(false);
  expect([link.isConnected, link.fault]).toEqual([
    false,
    `the connection to 127.0.0.1:${server.port} was lost`,
  ]);
  expect(await options.metrics.render()).toContain('trustplane_nats_connected{purpose="test"} 0');
  const back = change(link);
  await server.start();
  expect(await back).toBe(true);
  expect([link.isConnected, link.fault, link.connection === connection]).toEqual([
    true,
    undefined,
    true,
  ]);
  connection.publish('news', 'again');
  expect((await heard.next()).value?.string()).toBe('again');
});

it('notices a nats-server that says nothing any more, and goes to another', async () => {
  await using first = await launchNatsServer();
  await using second = await launchNatsServer();
  const link = await connectNats({
    ...optionsFor(first.url, second.url),
    pingIntervalMs: 100,
  });
  onTestFinished(() => link.close());
  const [used, other] =
    link.connection.getServer() === `127.0.0.1:${first.port}` ? [first, second] : [second, first];
  used.pause();
  expect(await change(link)).toBe(false);
  expect(await change(link)).toBe(true);
  expect(link.connection.getServer()).toBe(`127.0.0.1:${other.port}`);
});

it('waits for a nats-server that starts later', async () => {
  const [port = 0] = await freePorts(1);
  const link = openNats(optionsFor(`nats://127.0.0.1:${port}`));
  onTestFinished(() => link.close());
  expect([link.connection, link.isConnected]).toEqual([undefined, false]);
  await using _server = await launchNatsServer({ port });
  const connection = await link.connected();
  expect(link.connection).toBe(connection);
});

it('gives up the first connection when it is told to', async () => {
  const [port = 0] = await freePorts(1);
  await expect(connectNats(optionsFor(`nats://127.0.0.1:${port}`), 100)).rejects.toMatchObject({
    code: 'ERR_NATS_UNREACHABLE',
    message: `no connection to NATS at nats://127.0.0.1:${port}: connection refused`,
  });
  const link = openNats(optionsFor(`nats://127.0.0.1:${port}`));
  const connected = link.connected();
  await link.close();
  await expect(connected).rejects.toMatchObject({ code: 'ERR_NATS_CLOSED' });
});

it('goes to no nats-server that it was not told of', async () => {
  await using cluster = await launchNatsCluster({ size: 2, jetStream: false });
  const [first] = cluster.servers;
  const link = await connectNats(optionsFor(first?.url ?? ''));
  onTestFinished(() => link.close());
  // What it says of others comes when it has met them.
  await eventually('the nats-server names the other one', () =>
    (link.connection.info?.connect_urls?.length ?? 0) > 1 ? true : undefined,
  );
  const pool = link.connection.getServers();
  expect(pool.map(({ listen }) => listen)).toEqual([`127.0.0.1:${first?.port}`]);
});

it.each([
  [[], {}, 'ERR_NATS_SERVERS'],
  [['nats://10.0.0.1'], {}, 'ERR_NATS_PLAINTEXT'],
  [['nats://localhost', 'nats://nats.example'], {}, 'ERR_NATS_PLAINTEXT'],
  [['nats://localhost'], { login: { nkeySeedFile: '/nowhere' } }, 'ERR_NATS_LOGIN'],
])('refuses %j %j', (servers, options, code) => {
  expect(() => openNats({ ...optionsFor(...servers), ...options })).toThrow(
    expect.objectContaining({ code }),
  );
});

it('logs in with an NKEY, reads its file again for each connection, and keeps what it knew', async () => {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const file = path.join(folder.path, 'user.nk');
  const publicKey = await createNkeyFile(file);
  await expect(createNkeyFile(file)).rejects.toMatchObject({ code: 'ERR_FILE_WRITE' });
  const config = (key: string): string => `authorization { users: [ { nkey: ${key} } ] }`;
  await using server = await launchNatsServer({ config: config(publicKey) });
  const link = await connectNats({ ...optionsFor(server.url), login: { nkeySeedFile: file } });
  onTestFinished(() => link.close());
  await writeFile(file, 'damaged');
  let lost = change(link);
  await server.kill();
  await lost;
  await Promise.all([change(link), server.start()]);
  const other = nkeys.createUser();
  await writeFile(file, other.getSeed());
  lost = change(link);
  await server.reload(config(other.getPublicKey()));
  expect(await lost).toBe(false);
  expect(await change(link)).toBe(true);
});

it('says nothing of what is in a file that it cannot log in with', async () => {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const seed = new TextDecoder().decode(nkeys.createUser().getSeed());
  const file = path.join(folder.path, 'login');
  const asJwt = `-----BEGIN NATS USER JWT-----\n${seed}\n------END NATS USER JWT------\n`;
  for (const [text, login] of [
    [`${seed.slice(0, -1)}!`, { nkeySeedFile: file }],
    [seed.toLowerCase(), { nkeySeedFile: file }],
    [seed, { credentialsFile: file }],
    [asJwt, { credentialsFile: file }],
  ] as const) {
    await writeFile(file, text);
    expect(() => openNats({ ...optionsFor('nats://localhost'), login })).toThrow(
      `${file} cannot be used to log in: it is malformed`,
    );
  }
});

it('tells what a nats-server refuses, a few times a minute', async () => {
  await using server = await launchNatsServer({
    config:
      'authorization { users: [ { user: a, password: b, permissions: { publish: ["z"], subscribe: ["x"] } } ] }\nno_auth_user: a',
  });
  const warned: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (fields, message) => void warned.push(`${message} ${JSON.stringify(fields)}`),
    child: () => log,
  };
  const options = { ...optionsFor(server.url), log };
  const link = await connectNats(options);
  onTestFinished(() => link.close());
  for (let n = 0; n < 30; n++) link.connection.publish('y', '');
  await link.connection.flush();
  await link.close();
  expect(warned.filter((line) => line.startsWith('NATS refused something'))).toHaveLength(20);
  expect(warned[0]).toContain('Permissions Violation for Publish to \\"y\\"');
  expect(await options.metrics.render()).toContain(
    'trustplane_nats_errors_total{purpose="test"} 30',
  );
});
