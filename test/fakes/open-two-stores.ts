import { randomUUID } from 'node:crypto';
import { connect } from '@nats-io/transport-node';
import { onTestFinished } from 'vitest';
import { type Clock, TrustDomain } from '../../src/spiffe/index.ts';
import { openJetStreamStore, type Store } from '../../src/store/index.ts';

/**
 * The store of two servers of one control plane, new on each call, each with a connection of its own;
 * closed when the test has finished.
 */
export async function openTwoStores(
  url: string,
  clock: Clock,
): Promise<readonly [one: Store, two: Store]> {
  const trustDomain = TrustDomain.parse(`${randomUUID()}.test`);
  const open = async (): Promise<Store> => {
    const connection = await connect({ servers: url });
    onTestFinished(() => connection.close());
    const options = { connection, trustDomain, clock, replicas: 1, isTest: true };
    const store = await openJetStreamStore(options);
    onTestFinished(() => store.close());
    return store;
  };
  return [await open(), await open()];
}
