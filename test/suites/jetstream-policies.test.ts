import { afterAll, beforeAll } from 'vitest';
import { openTwoStores } from '../fakes/open-two-stores.ts';
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
  const [one, two] = await openTwoStores(server.url, clock);
  return { one, two, clock };
});
