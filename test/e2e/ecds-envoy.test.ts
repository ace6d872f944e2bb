import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EcdsForm, EcdsGround, rulesName } from '../programs/ecds-ground.ts';
import { eventually } from '../programs/eventually.ts';

const forms: readonly (readonly [name: string, form: EcdsForm])[] = [
  ['delta', { kind: 'delta', isAggregated: false }],
  ['SotW', { kind: 'sotw', isAggregated: false }],
  ['ADS delta', { kind: 'delta', isAggregated: true }],
  ['ADS SotW', { kind: 'sotw', isAggregated: true }],
];
const PATHS = ['/a', '/b'];
const SENT = 'trustplane_ecds_resources_total{resource="rbac"}';
const WAITING = 'trustplane_ecds_waiting_names';
const TTL_MS = 2_000;

describe.each(forms)('an Envoy that is given rules over %s', (_name, form) => {
  const isDelta = form.kind === 'delta';
  let ground: EcdsGround;
  beforeAll(async () => {
    ground = await EcdsGround.open(form);
  });
  afterAll(async () => await ground?.[Symbol.asyncDispose]());

  it('denies everything before, and decides by the newest from the acknowledgement on, on a connection that is open', async () => {
    const agent = ground.agent();
    await ground.counts(WAITING, 1);
    expect(await ground.allowed(PATHS, agent)).toBe('');
    for (const version of ['/a', '/b', '/a /b', '/a']) {
      expect(await ground.give(version)).toBe(`${rulesName} ${version}`);
      expect(await ground.allowed(PATHS, agent)).toBe(version);
    }
    expect((await ground.ask('/a', agent)).isReused).toBe(true);
  });

  it('keeps the last good ones where new ones are refused, and takes the next good ones', async () => {
    expect(await ground.allowed(PATHS)).toBe('/a');
    expect(await ground.give('bad')).toContain(`${rulesName} bad: `);
    expect(await ground.allowed(PATHS)).toBe('/a');
    expect(await ground.give('/b')).toBe(`${rulesName} /b`);
    expect(await ground.allowed(PATHS)).toBe('/b');
    await ground.give('bad');
    expect(await ground.give('/a')).toBe(`${rulesName} /a`);
  });

  it('has none when they are taken away, where the protocol can say so', async () => {
    expect(await ground.allowed(PATHS)).toBe('/a');
    const sent = await ground.metric(SENT);
    ground.extensions.publish(rulesName, 'refused');
    await ground.counts(WAITING, 1);
    await eventually('it', async () => (await ground.allowed(PATHS)) === (isDelta ? '' : '/a'));
    // The same as they were.
    expect(await ground.give('/a')).toBe(`${rulesName} /a`);
    expect(await ground.metric(SENT)).toBe(sent + 1);
    expect(await ground.allowed(PATHS)).toBe('/a');
  });

  it('has none when it lost its entry, where the protocol can say so', async () => {
    const agent = ground.agent();
    expect(await ground.allowed(PATHS, agent)).toBe('/a');
    const { identities } = ground;
    const { length } = ground.extensions.verdicts;
    ground.publish([]);
    await ground.counts(WAITING, 1);
    const left = isDelta ? '' : '/a';
    await eventually('it', async () => (await ground.allowed(PATHS, agent)) === left);
    ground.publish(identities);
    expect(await ground.verdict(length)).toBe(`${rulesName} /a`);
    expect(await ground.allowed(PATHS, agent)).toBe('/a');
  });

  it('is sent after a reconnect what is another, and in delta nothing else', async () => {
    await ground.leave();
    expect(await ground.allowed(PATHS)).toBe('/a');
    const { verdicts } = ground.extensions;
    let { length } = verdicts;
    await ground.serve();
    expect(await ground.verdict(length)).toBe(`${rulesName} /a`);
    expect(await ground.metric(SENT)).toBe(isDelta ? 0 : 1);
    expect(await ground.allowed(PATHS)).toBe('/a');

    await ground.leave();
    ground.extensions.set(rulesName, { version: '/b' });
    expect(await ground.allowed(PATHS)).toBe('/a');
    length = verdicts.length;
    await ground.serve();
    expect(await ground.verdict(length)).toBe(`${rulesName} /b`);
    expect(await ground.metric(SENT)).toBe(1);
    expect(await ground.allowed(PATHS)).toBe('/b');
  });

  it('has the present rules and the present certificate, however often both change', async () => {
    expect(await ground.allowed(PATHS)).toBe('/b');
    for (const version of ['/a', '/b', '/a', '/b', '/a']) {
      const serialNumber = await ground.rotate();
      expect(await ground.give(version)).toBe(`${rulesName} ${version}`);
      expect(await ground.allowed(PATHS)).toBe(version);
      const isNew = async () => (await ground.ask('/a')).serialNumber === serialNumber;
      await eventually('the certificate', isNew);
    }
    for (const kind of ['sotw', 'delta'])
      for (const service of ['ads', 'ecds', 'sds']) {
        const isUsed = kind === form.kind && (service === 'ads') === form.isAggregated;
        const count = !isUsed ? 0 : service === 'sds' ? 2 : 1;
        const name = `trustplane_${service}_streams{kind="${kind}"}`;
        expect([name, await ground.metric(name)]).toEqual([name, count]);
      }
    expect(await ground.metric('trustplane_sds_nacks_total{resource="tls_certificate"}')).toBe(0);
  });
});

describe('rules that may be so old and no older', () => {
  it.concurrent.each(forms)(
    'stay while the server is there, and are gone soon after it: %s',
    async (_name, form) => {
      await using ground = await EcdsGround.open(form);
      expect(await ground.give('/a', TTL_MS)).toBe(`${rulesName} /a`);
      const renewals = form.kind === 'delta' ? 'trustplane_ecds_heartbeats_total' : SENT;
      const before = await ground.metric(renewals);
      // Three in the time that they may be old.
      while ((await ground.metric(renewals)) < before + 5)
        expect(await ground.allowed(PATHS)).toBe('/a');
      await ground.leave();
      expect(await ground.allowed(PATHS)).toBe('/a');
      await eventually('expiry', async () => (await ground.allowed(PATHS)) === '');
      ground.extensions.set(rulesName, { version: '/b', ttlMs: TTL_MS });
      await ground.serve();
      await eventually('rules', async () => (await ground.allowed(PATHS)) === '/b');
    },
  );

  it.concurrent.each(forms.filter(([, { kind }]) => kind === 'sotw'))(
    'go with their time when they are taken away from who cannot be told: %s',
    async (_name, form) => {
      await using ground = await EcdsGround.open(form);
      await ground.give('/a', TTL_MS);
      ground.extensions.publish(rulesName, 'refused');
      await ground.counts(WAITING, 1);
      await eventually('expiry', async () => (await ground.allowed(PATHS)) === '');
      await ground.give('/b', TTL_MS);
      expect(await ground.allowed(PATHS)).toBe('/b');
    },
  );
});
