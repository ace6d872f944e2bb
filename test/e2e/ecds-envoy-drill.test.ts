import { expect, it } from 'vitest';
import { EcdsGround, rulesName } from '../programs/ecds-ground.ts';
import { eventually } from '../programs/eventually.ts';

/** Long enough for Envoy's own back-off to have grown to half a minute. */
const AWAY_MS = 15_000;
const BACK_WITHIN_MS = 2_000;

it.concurrent.each([
  ['delta', { kind: 'delta', isAggregated: false }],
  ['SotW', { kind: 'sotw', isAggregated: false }],
  ['ADS delta', { kind: 'delta', isAggregated: true }],
  ['ADS SotW', { kind: 'sotw', isAggregated: true }],
] as const)(
  'has new rules soon after a server that was long away is back: %s',
  async (name, form) => {
    await using ground = await EcdsGround.open(form);
    await ground.give('/a');
    await ground.leave();
    ground.extensions.set(rulesName, { version: '/b' });
    const over = performance.now() + AWAY_MS;
    while (performance.now() < over) expect(await ground.allowed(['/a', '/b'])).toBe('/a');
    await ground.serve();
    const back = performance.now();
    await eventually('new rules', async () => (await ground.allowed(['/a', '/b'])) === '/b');
    const elapsedMs = performance.now() - back;
    process.stderr.write(
      `${name}: away for ${AWAY_MS} ms, new rules after ${elapsedMs.toFixed(0)} ms\n`,
    );
    expect(elapsedMs).toBeLessThan(BACK_WITHIN_MS);
  },
);
