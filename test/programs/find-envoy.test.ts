import { expect, it } from 'vitest';
import { waysToImage } from './envoy-image.ts';
import { type Attempt, type Envoy, searchIn } from './find-envoy.ts';
import { ProgramMissingError } from './pip.ts';

const envoy: Envoy = { kind: 'binary', file: '/opt/envoy', version: '1.40.0', origin: 'PATH' };

function placesThatSay(...answers: readonly Attempt[]): {
  readonly asked: number[];
  readonly places: readonly (() => Promise<Attempt>)[];
} {
  const asked: number[] = [];
  const places = answers.map((answer, index) => async () => {
    asked.push(index);
    return answer;
  });
  return { asked, places };
}

it('takes the first place that has an Envoy and asks no other', async () => {
  const { asked, places } = placesThatSay('TRUSTPLANE_ENVOY: not set', envoy, 'never asked');
  expect(await searchIn(places)).toBe(envoy);
  expect(asked).toEqual([0, 1]);
});

it('says what was tried, in order, and what to do', async () => {
  const { places } = placesThatSay('PATH: no envoy that runs', 'docker: not running', 'pip: none');
  const failure: unknown = await searchIn(places).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(ProgramMissingError);
  expect(String(failure)).toContain(
    '  - PATH: no envoy that runs\n  - docker: not running\n  - pip: none\nDo one of: put an envoy',
  );
});

it('prefers an image that is there, then a local binary, and pulls last', () => {
  expect(waysToImage({ version: '1.40.0', binary: '/opt/envoy' })).toEqual([
    'present:envoyproxy/envoy:v1.40.0',
    'build:/opt/envoy',
    'pull:envoyproxy/envoy:v1.40.0',
  ]);
  expect(waysToImage({ version: '1.40.0' })).toEqual([
    'present:envoyproxy/envoy:v1.40.0',
    'pull:envoyproxy/envoy:v1.40.0',
  ]);
});

it('takes the image that somebody chose, or none', () => {
  const wanted = 'mirror.example/envoy:v1';
  expect(waysToImage({ version: '1.40.0', wanted, binary: '/opt/envoy' })).toEqual([
    `pull:${wanted}`,
  ]);
  expect(waysToImage({ version: '1.40.0', wanted: '' })).toHaveLength(2);
});
