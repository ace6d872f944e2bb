import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type BroadcastDomain,
  type BroadcastDomainOptions,
  openBroadcastDomain,
} from '../../test/fakes/broadcast-domain.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { launchNatsServer, type NatsServer } from '../../test/programs/launch-nats-server.ts';

async function nats(options: Parameters<typeof launchNatsServer>[0] = {}): Promise<NatsServer> {
  const server = await launchNatsServer(options);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function domain(
  { url }: NatsServer,
  name: string,
  more: Partial<BroadcastDomainOptions> = {},
): Promise<BroadcastDomain> {
  const opened = await openBroadcastDomain({ ...more, name, url });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

async function federated(server: NatsServer) {
  const [a, b] = [await domain(server, 'a.test'), await domain(server, 'b.test')];
  await Promise.all([a.federate(b), b.federate(a)]);
  return { a, b };
}

function sequenceAt(holder: BroadcastDomain, { trustDomain }: BroadcastDomain): bigint {
  return holder.foreignBundles.get(trustDomain)?.sequenceNumber ?? -1n;
}

async function arrival(holder: BroadcastDomain, of: BroadcastDomain): Promise<void> {
  const wanted = of.ownBundle.current().sequenceNumber ?? 0n;
  await eventually(`${of.trustDomain.name} at ${holder.trustDomain.name}`, () =>
    sequenceAt(holder, of) >= wanted ? true : undefined,
  );
}

async function published({ publisher }: BroadcastDomain): Promise<void> {
  await eventually('published', () => (publisher.fault === undefined ? true : undefined));
}

describe.each([
  ['JetStream', true],
  ['core NATS', false],
])('a broadcast over %s', (_, jetStream) => {
  it('brings a new authority of one domain to the trust map of the other (FED-21)', async () => {
    const { a, b } = await federated(await nats({ jetStream }));
    await Promise.all([published(a), published(b)]);
    const prepared = await a.ca.prepare();
    await arrival(b, a);
    expect(b.trust.current().federated.get('a.test')?.x509Authorities.length).toBe(2);
    await a.ca.activate(prepared.authorityId, { force: true });
    await b.ca.prepare();
    await arrival(a, b);
  });
});
