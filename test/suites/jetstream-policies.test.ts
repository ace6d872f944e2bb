import { randomUUID } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { TrustDomain } from '../../src/spiffe/index.ts';
import { openJetStreamStore, type Store } from '../../src/store/index.ts';
import { StampedClock } from '../fakes/stamped-clock.ts';
import { launchNatsServer, type NatsServer } from '../programs/launch-nats-server.ts';
import { describePolicyRegistry } from './policy-registry-suite.ts';

let server: NatsServer;

beforeAll(async () => {
  server = await launchNatsServer({ jetStream: true });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describePolicyRegistry('JetStream, through two servers', async () => {
  const clock = new StampedClock();
  const trustDomain = TrustDomain.parse(`${randomUUID()}.test`);
  const open = async (): Promise<Store> => {
    const connection = await connect({ servers: server.url });
    onTestFinished(() => connection.close());
    const options = { connection, trustDomain, clock, replicas: 1, isTest: true };
    const store = await openJetStreamStore(options);
    onTestFinished(() => store.close());
    return store;
  };
  return { one: await open(), two: await open(), clock };
});
