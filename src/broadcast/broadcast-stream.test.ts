import { connect } from '@nats-io/transport-node';
import { expect, it, onTestFinished } from 'vitest';
import { launchNatsServer } from '../../test/programs/launch-nats-server.ts';
import { silentLog } from '../ops/index.ts';
import { BroadcastStream, STREAM } from './broadcast-stream.ts';

const subject = 'trustplane.v1.bundle.a.test';

async function open(jetStream: boolean) {
  const server = await launchNatsServer({ jetStream });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const connection = await connect({ servers: server.url });
  onTestFinished(() => connection.close());
  const link = { connection, isConnected: true, watch: () => () => {} };
  return { server, connection, stream: new BroadcastStream(link, silentLog) };
}

it('keeps the last message of each subject, for whoever asks', async () => {
  const { connection, stream } = await open(true);
  await stream.ensure();
  expect(stream.fault).toBeUndefined();
  expect(await stream.latest(subject)).toBeUndefined();
  for (const text of ['one', 'two']) await connection.request(subject, text);
  expect(Buffer.from((await stream.latest(subject)) ?? []).toString()).toBe('two');
  await stream.ensure();
  expect(stream.fault).toBeUndefined();
});

it('is missed where there is no JetStream, and nothing is waited for', async () => {
  const { stream } = await open(false);
  await stream.ensure();
  expect(stream.fault).toEqual(expect.any(String));
  expect(await stream.latest(subject)).toBeUndefined();
});

it('is not taken for one that somebody made otherwise', async () => {
  const { connection, stream } = await open(true);
  const config = { name: STREAM, subjects: ['trustplane.v1.>'], allow_direct: true };
  await connection.request(`$JS.API.STREAM.CREATE.${STREAM}`, JSON.stringify(config));
  await stream.ensure();
  expect(stream.fault).toBe('it keeps more than one message of a subject');
});

it('tells a nats-server that does not answer from one that holds nothing', async () => {
  const { server, stream } = await open(true);
  await stream.ensure();
  server.pause();
  await expect(stream.latest(subject)).rejects.toThrow('timeout');
  server.resume();
  expect(await stream.latest(subject)).toBeUndefined();
});
