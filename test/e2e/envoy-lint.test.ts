import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixEnvoy } from '../../src/envoy/index.ts';
import { type Danger, dangers } from '../fixtures/envoy-lint/dangers.ts';
import { validateBootstrap } from '../programs/launch-envoy.ts';

const root = path.join(import.meta.dirname, '../..');
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'trustplane-envoy-lint-'));
});
afterAll(async () => await rm(folder, { recursive: true }));

/** What Envoy does not say, because it dies of it. */
const CRASH = 'cluster-secret-over-ads';

/** Bootstraps whose files are all there. */
const whole = dangers.filter(
  ({ base, dangerous, code }) =>
    base.endsWith('.yaml') && !/filename: \/(?:run|c)\b/u.test(dangerous) && code !== CRASH,
);

async function dangerousText({ base, sound, dangerous, also }: Danger): Promise<string> {
  const file = base.includes('/') ? base : `test/fixtures/envoy-lint/${base}`;
  const text = await readFile(path.join(root, file), 'utf8');
  const once = text.replace(sound, () => dangerous);
  return also === undefined ? once : once.replace(also[0], () => also[1]);
}

// Nothing but a linter says that these are dangerous.
it.each(whole.map((one, index) => [one.code, index, one] as const))(
  'Envoy takes what is dangerous, and what --fix makes of it: %s (%i)',
  async (_code, _index, danger) => {
    const text = await dangerousText(danger);
    expect(await validateBootstrap(text, folder)).toBeUndefined();
    if (danger.isFixed !== true) return;
    const [fixed] = fixEnvoy([{ file: 'envoy.yaml', text }]).texts;
    expect(await validateBootstrap(fixed?.text ?? '', folder)).toBeUndefined();
  },
);

it('Envoy crashes where clusters of its bootstrap take secrets over ADS', async () => {
  const [crash] = dangers.filter(({ code }) => code === CRASH);
  if (crash === undefined) throw new Error('no such danger');
  const said = await validateBootstrap(await dangerousText(crash), folder);
  expect(said).toMatch(/Segmentation fault/u);
});
