import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SpiffeId } from '../spiffe/index.ts';
import type { EntryDocument } from './document-schema.ts';
import { expandTemplate } from './expand-template.ts';

const template = (more: Partial<EntryDocument> = {}): EntryDocument => ({
  apiVersion: 'trustplane/v1',
  kind: 'RegistrationEntry',
  spiffeId: 'spiffe://a.test/ns/${ns}/sa/${sa}',
  parentId: 'spiffe://a.test/cluster',
  selectors: ['k8s:ns:${ns}', 'k8s:sa:${sa}'],
  variables: { ns: ['payments', 'web'], sa: ['api', 'worker'] },
  ...more,
});

function faultsOf(more: Partial<EntryDocument>): readonly string[] {
  const expansion = expandTemplate(template(more));
  if (!('faults' in expansion)) return [];
  return expansion.faults.map(({ path, message }) => `${path.join('.')}: ${message}`);
}

describe('a template', () => {
  it('stands for one entry of each combination', () => {
    const expansion = expandTemplate(template());
    const made = 'documents' in expansion ? expansion.documents : [];
    expect(made.map(({ spiffeId, selectors }) => [spiffeId, ...selectors])).toEqual([
      ['spiffe://a.test/ns/payments/sa/api', 'k8s:ns:payments', 'k8s:sa:api'],
      ['spiffe://a.test/ns/payments/sa/worker', 'k8s:ns:payments', 'k8s:sa:worker'],
      ['spiffe://a.test/ns/web/sa/api', 'k8s:ns:web', 'k8s:sa:api'],
      ['spiffe://a.test/ns/web/sa/worker', 'k8s:ns:web', 'k8s:sa:worker'],
    ]);
  });

  it.each([
    [{ selectors: ['k8s:ns:${ns}'] }, 'is in no selector'],
    [{ spiffeId: 'spiffe://a.test/ns/${ns}' }, 'is not in the spiffeId'],
    [{ spiffeId: 'spiffe://a.test/${ns}/${sa}/${pod}' }, 'expected a variable out of ns, sa'],
    [{ parentId: 'spiffe://a.test/${ns}' }, 'may not stand for the parent'],
    [{ id: 'one' }, 'has no entry ID'],
    [{ variables: { ns: ['a', 'a'], sa: ['b'] } }, 'stands there twice'],
    [{ variables: { ns: ['a/b'], sa: ['b'] } }, 'expected 1 to 253 characters'],
    [{ variables: { ns: ['..'], sa: ['b'] } }, 'expected 1 to 253 characters'],
    [{ variables: { ns: ['${sa}'], sa: ['b'] } }, 'expected 1 to 253 characters'],
    [{ dnsNames: ['${ns}.test'], variables: { ns: ['a.b'], sa: ['b'] } }, 'has a dot'],
    [
      {
        spiffeId: 'spiffe://a.test/${ns}-${sa}',
        variables: { ns: ['a', 'a-b'], sa: ['b-c', 'c'] },
      },
      'make the same id',
    ],
    [
      {
        variables: {
          ns: Array.from({ length: 40 }, (_, i) => `n${i}`),
          sa: Array.from({ length: 40 }, (_, i) => `s${i}`),
        },
      },
      'at most 1000 combinations, got 1600',
    ],
  ])('is refused: %j', (more, message) => {
    expect(faultsOf(more)).toEqual([expect.stringContaining(message)]);
  });

  it('makes IDs with the segments it has, whatever the values', () => {
    const value = fc.string({ maxLength: 6 });
    fc.assert(
      fc.property(value, value, (ns, sa) => {
        const expansion = expandTemplate(template({ variables: { ns: [ns], sa: [sa] } }));
        if ('faults' in expansion) return;
        const [one] = expansion.documents;
        const { path } = SpiffeId.parse(one?.spiffeId ?? '');
        expect(path.split('/')).toEqual(['', 'ns', ns, 'sa', sa]);
      }),
    );
  });
});
