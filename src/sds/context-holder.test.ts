import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { SdsClient } from '../../test/fakes/sds-client.ts';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import type { Bundle } from '../spiffe/index.ts';
import { type PeerProcess, serveUnix } from '../wire/index.ts';
import { createSds, createSecretType, defaultSdsNames } from './index.ts';

const first = textBundle('a.test', ['one']);
const second = textBundle('a.test', ['one', 'two']);
const update = (bundle: Bundle, serial = 1) => textUpdate([textIdentity('/web', serial)], [bundle]);

async function open() {
  const source = new FakeWorkloadSource<PeerProcess>(update(first));
  const told: string[] = [];
  const held: Bundle[] = [];
  const say = (text: string): void => {
    if (told.at(-1) !== text) told.push(text);
  };
  const audience = {
    join(name: string) {
      say(`join ${name.replace(/\d+/u, 'N')}`);
      return {
        has: (bundle: Bundle) => {
          held.push(bundle);
          say(`has ${bundle.x509Authorities.length}`);
        },
        lacks: (reason: string) => say(`lacks: ${reason}`),
        leave: () => say('leave'),
      };
    },
  };
  const folder = mkdtempSync(join(tmpdir(), 'sds-'));
  const common = { log: silentLog, metrics: createMetrics() };
  const secrets = createSecretType({
    ...common,
    names: defaultSdsNames,
    disableSpiffeCertValidation: false,
    unmatchableCa: Buffer.from('nothing'),
    audience,
  });
  const sds = createSds(secrets, { ...common, source, clock: new FakeClock() });
  const path = join(folder, 'sds.sock');
  const server = await serveUnix({ path, mode: 0o600, services: [sds], ...common });
  const client = new SdsClient(path);
  onTestFinished(async () => {
    client.close();
    await server.close(0);
    rmSync(folder, { recursive: true });
  });
  /** What was told since, once it ends with `last`. */
  const until = async (last: string): Promise<string[]> => {
    await vi.waitFor(() => expect(told.at(-1)).toBe(last));
    return told.splice(0);
  };
  return { source, client, told, held, until };
}

describe('what is known of clients of SDS', () => {
  it.each(['sotw', 'delta'] as const)('is what they acknowledge (%s)', async (kind) => {
    const { source, client, until } = await open();
    const stream = client[kind]();
    const names = ['default', 'ROOTCA'];
    const ask = kind === 'sotw' ? { resource_names: names } : { resource_names_subscribe: names };
    const again = kind === 'sotw' ? ask : {};
    stream.send({ ...ask, node: { id: 'envoy-1' } });
    const { nonce } = await stream.next();
    expect(await until('lacks: has not answered ROOTCA')).toEqual([
      'join SDS stream of pid N (envoy-1)',
      'lacks: has not answered ROOTCA',
    ]);
    stream.send({ ...again, response_nonce: nonce });
    expect(await until('has 1')).toEqual(['has 1']);
    source.publish(update(second));
    const next = await stream.next();
    expect(await until('lacks: has not answered ROOTCA')).toHaveLength(1);
    stream.send({ ...again, response_nonce: next.nonce });
    expect(await until('has 2')).toEqual(['has 2']);
    stream.call.cancel();
    await until('leave');
  });

  it('is that they refuse, and why, until the next content', async () => {
    const { source, client, until } = await open();
    const stream = client.sotw();
    const ask = { resource_names: ['ROOTCA'] };
    stream.send(ask);
    const refused = await stream.next();
    const error_detail = { code: 3, message: 'bad\nca' };
    stream.send({ ...ask, response_nonce: refused.nonce, error_detail });
    await until(`lacks: refuses ROOTCA: bad\\u{a}ca`);
    source.publish(update(second));
    const { nonce } = await stream.next();
    stream.send({ ...ask, response_nonce: nonce });
    expect(await until('has 2')).toEqual(['lacks: has not answered ROOTCA', 'has 2']);
  });

  it('moves on with bundles that change nothing they were given', async () => {
    const { source, client, until, held } = await open();
    const stream = client.sotw();
    const ask = { resource_names: ['ROOTCA'] };
    stream.send(ask);
    const { nonce } = await stream.next();
    stream.send({ ...ask, response_nonce: nonce });
    await until('has 1');
    const renumbered = { ...first, sequenceNumber: 2n };
    source.publish(update(renumbered));
    await vi.waitFor(() => expect(held.at(-1)).toBe(renumbered));
  });

  it('is nothing of those who are given certificates alone, or let contexts go', async () => {
    const { client, until, told } = await open();
    const stream = client.sotw();
    stream.send({ resource_names: ['default'] });
    const first = await stream.next();
    stream.send({ resource_names: ['default', 'ROOTCA'], response_nonce: first.nonce });
    const second = await stream.next();
    expect(told.filter((text) => text.startsWith('join'))).toHaveLength(1);
    stream.send({ resource_names: ['default'], response_nonce: second.nonce });
    await until('leave');
  });
});
