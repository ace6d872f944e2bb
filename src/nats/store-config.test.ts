import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { expect, it, onTestFinished } from 'vitest';
import { NatsDomain, pemOf } from '../../test/fakes/nats-domain.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { createNatsProgram } from '../../test/programs/launch-nats-server.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { openJetStreamStore } from '../store/index.ts';
import { connectNats, type NatsOptions } from './index.ts';
import { createNkeyFile } from './nkey-file.ts';
import { formatServerConfig } from './server-config.ts';
import { buildStoreConfig } from './store-config.ts';

it('makes three nats-servers that a store accepts: they sync what they acknowledge and know servers by NKEY and certificate', async () => {
  const run = createRunFolder();
  onTestFinished(() => run.remove());
  const at = (name: string): string => path.join(run.path, name);
  const ca = await NatsDomain.create('ca.test');
  await writeFile(at('ca.pem'), ca.pem);
  for (const name of ['nats', 'client']) {
    await writeFile(at(`${name}.pem`), pemOf(await ca.issue('/x', ['localhost'])));
  }
  const nkey = await createNkeyFile(at('server.nk'));
  const ports = await freePorts(7);
  const routes = ports.slice(3, 6).map((port) => `localhost:${port}`);
  const nodes = await Promise.all(
    [0, 1, 2].map(async (n) => {
      await mkdir(at(`${n}`));
      const config = buildStoreConfig({
        place: {
          serverName: `n${n}`,
          listen: `127.0.0.1:${ports[n]}`,
          monitor: n === 0 ? `127.0.0.1:${ports[6]}` : undefined,
          pidFile: at(`${n}/pid`),
          jetStreamFolder: at(`${n}/jetstream`),
          cluster: { name: 'store', listen: `127.0.0.1:${ports[n + 3]}`, routes },
          maxConnections: 100,
        },
        files: { certFile: at('nats.pem'), keyFile: at('nats.pem'), caFile: at('ca.pem') },
        nkeys: [nkey],
      });
      await writeFile(at(`${n}/nats.conf`), formatServerConfig(config, ['a test']));
      const program = await createNatsProgram(at(`${n}/nats.conf`));
      onTestFinished(() => program[Symbol.asyncDispose]());
      await program.start();
      return program;
    }),
  );
  await Promise.all(nodes.map((node) => node.line(/new .*metadata leader/)));
  const identity = { certFile: at('client.pem'), keyFile: at('client.pem') };
  const options: NatsOptions = {
    servers: ports.slice(0, 3).map((port) => `tls://localhost:${port}`),
    purpose: 'test',
    name: 'here',
    tls: { identity, server: { caFile: at('ca.pem') } },
    login: { nkeySeedFile: at('server.nk') },
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics(),
  };
  const link = await connectNats(options);
  onTestFinished(() => link.close());
  const { streams } = await jetstreamManager(link.connection);
  const made = await streams.add({ name: 'KV_x', subjects: ['$KV.x.>'], num_replicas: 3 });
  expect(made.cluster?.replicas).toHaveLength(2);
  const answer = await fetch(`http://127.0.0.1:${ports[6]}/jsz?config=true`);
  expect(await answer.json()).toMatchObject({ config: { sync_always: true } });
  // It asks all three through NATS whether they sync, and refuses what it cannot learn.
  const trustDomain = TrustDomain.parse('example.org');
  const { connection } = link;
  const store = await openJetStreamStore({ connection, trustDomain, clock: systemClock });
  expect(await store.bucket('entries').put('a', new Uint8Array(), 0)).toBe(1);
  await store.close();
  const strangers: Partial<NatsOptions>[] = [
    { login: undefined },
    { tls: { server: { caFile: at('ca.pem') } } },
    { login: { nkeySeedFile: at('other.nk') } },
  ];
  await createNkeyFile(at('other.nk'));
  for (const stranger of strangers) {
    await expect(connectNats({ ...options, ...stranger }, 500)).rejects.toMatchObject({
      code: 'ERR_NATS_UNREACHABLE',
    });
  }
});
