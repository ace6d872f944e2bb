import { randomUUID } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll } from 'vitest';
import { StampedClock } from '../../test/fakes/stamped-clock.ts';
import { launchNatsServer, type NatsServer } from '../../test/programs/launch-nats-server.ts';
import { describeStore } from '../../test/suites/store-suite.ts';
import { TrustDomain } from '../spiffe/trust-domain.ts';
import { openJetStreamStore } from './jetstream-open.ts';
import { buildPlace } from './jetstream-place.ts';
import { bucketNames, type Store } from './store.ts';

let server: NatsServer;
beforeAll(async () => {
  server = await launchNatsServer({ jetStream: true });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describeStore('JetStream', async () => {
  const connection = await connect({ servers: server.url });
  const trustDomain = TrustDomain.parse(`${randomUUID()}.test`);
  const clock = new StampedClock();
  const open = async (): Promise<Store> =>
    await openJetStreamStore({ connection, trustDomain, clock, replicas: 1, isTest: true });
  let store = await open();
  return {
    store,
    clock,
    async reopen() {
      await store.close();
      store = await open();
      return store;
    },
    async dispose() {
      await store.close();
      for (const bucket of [...bucketNames, 'meta'] as const) {
        const { stream } = buildPlace(trustDomain.name, bucket);
        await connection.request(`$JS.API.STREAM.DELETE.${stream}`);
      }
      await connection.close();
    },
  };
});
