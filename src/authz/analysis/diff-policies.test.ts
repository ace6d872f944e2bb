import { expect, it } from 'vitest';
import { policyOf, WEB } from '../../../test/fakes/test-policies.ts';
import { diffPolicies } from './diff-policies.ts';

/** `kind before -> after: request` of each change, and the settings that changed. */
function diff(
  before: readonly object[],
  after: readonly object[],
  old: object = {},
  young: object = old,
) {
  const found = diffPolicies([policyOf(before, old)], [policyOf(after, young)]);
  const changes = found.changes.map(
    ({ kind, before: was, after: is, witness }) =>
      `${kind} ${was.join(' ')} -> ${is.join(' ')}: ${witness.text.replace(`${WEB}: `, '')}`,
  );
  return [
    ...changes,
    ...found.terms.map(({ kind, what }) => `${kind} ${what}`),
    ...found.settings.map(({ setting, after: is }) => `${setting} ${is}`),
  ];
}

const read = { allow: ['GET /a/*'] };

it('tells widened, narrowed and remapped, each with its shortest request', () => {
  expect(diff([read], [{ allow: ['GET /a/**'] }])).toEqual(['widened  -> p/r0: GET /a']);
  expect(diff([read], [read, { deny: ['/a/b'] }])).toEqual(['narrowed p/r0 -> p/r1: GET /a/b']);
  expect(diff([read], [{ ...read, map: { 'x-user': 'source.id' } }])).toEqual([
    'remapped p/r0 -> p/r0: GET /a/a',
  ]);
});

it('finds nothing where a rule is written otherwise', () => {
  expect(
    diff([{ allow: ['GET /a', 'GET /b'] }], [{ allow: ['GET /b'] }, { allow: ['GET /a'] }]),
  ).toEqual([]);
  expect(diff([read], [read, { allow: ['GET /a/b'] }])).toEqual([]);
});

it('sees stages as they are enforced', () => {
  const observe = { mode: { stage: 'observe' } };
  expect(diff([read], [read, { allow: ['PUT /a'] }], observe)).toEqual([]);
  expect(diff([read], [read], observe, {})).toEqual(['widened  -> p/r0: GET /a/a']);
  const canary = (percent: number) => ({ mode: { stage: 'canary', percent } });
  expect(diff([read], [read], canary(100), {})).toEqual([]);
  expect(diff([read], [read], canary(0), {})).toHaveLength(1);
  const all = [{ ...read, from: ['spiffe://d/*'] }];
  expect(diff(all, all, canary(10), {})).toHaveLength(1);
  expect(diff(all, all, canary(10), canary(99))).toHaveLength(1);
});

it('takes bodies as empty where they are bounded, and lists what is set otherwise', () => {
  const bound = (maxBytes: number) => ({ request: { body: { maxBytes } } });
  expect(diff([read], [{ allow: ['GET /a/**'] }], bound(0))).toEqual(['widened  -> p/r0: GET /a']);
  expect(diff([read], [read], bound(0), bound(1))).toEqual([
    'widened octets of a body: 0 -> 1',
    'request {"body":{"maxBytes":1}}',
  ]);
});

it('sees what a service takes once a policy is gone that was stricter', () => {
  const lenient = policyOf([read], { request: { path: { matrixParameters: 'allow' } } });
  const strict = policyOf([read], { metadata: { name: 'q' }, request: { body: { maxBytes: 0 } } });
  const { changes, terms, settings } = diffPolicies([lenient, strict], [lenient]);
  expect(changes.map(({ kind }) => kind)).not.toContain('widened');
  expect(terms.map(({ kind, what }) => `${kind} ${what}`)).toEqual([
    'widened paths with ";" are taken',
    'widened octets of a body: 0 -> any',
  ]);
  expect(settings).toMatchObject([{ policy: 'q', setting: 'request', after: '{}' }]);
});

it('sees callers by token where an allow is for anyone', () => {
  const denying = (credentials?: readonly string[]) => [
    { from: 'anyone', allow: ['/x'] },
    {
      from: { ids: ['spiffe://dev.example/**'], ...(credentials && { credentials }) },
      deny: ['/x'],
    },
  ];
  expect(diff(denying(), denying(['x509-svid']))).toEqual([
    expect.stringContaining('widened p/r1 -> p/r0'),
  ]);
});

it('compares what other services have, and services that come and go', () => {
  const one = policyOf([read], { metadata: { name: 'one' }, service: 'spiffe://prod.example/one' });
  const other = policyOf([read], {
    metadata: { name: 'two' },
    service: { contextExtension: 'two' },
  });
  expect(diffPolicies([one], [one, other]).changes).toMatchObject([
    { kind: 'widened', service: { contextExtension: 'two' }, before: [], after: ['two/r0'] },
  ]);
});
