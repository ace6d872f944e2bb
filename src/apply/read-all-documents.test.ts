import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { parseDocuments } from './documents.ts';
import { readAllDocuments } from './read-all-documents.ts';
import type { DocumentText } from './split-documents.ts';

const rules = { trustDomain: TrustDomain.parse('a.test'), now: Date.parse('2026-01-01T00:00:00Z') };

const document = (index: number): string => `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: spiffe://a.test/${index}
parentId: spiffe://a.test/x
selectors: [unix:uid:${index % 7 === 0 ? '' : index}]${index % 11 === 0 ? '\nwrong: &a true' : ''}
`;

/** Enough for threads; every seventh has no selector, every eleventh is no YAML, and the first comes again. */
const texts: readonly DocumentText[] = Array.from({ length: 10 }, (_, file) => ({
  name: `${file}.yaml`,
  text: Array.from({ length: 100 }, (_, i) => document((file * 100 + i) % 950)).join('---\n'),
}));

async function* arriving(all: readonly DocumentText[]): AsyncGenerator<DocumentText> {
  yield* all;
}

describe('reading in threads', () => {
  it('reads what is read without, and tells the same mistakes at the same places', async () => {
    const [read, expected] = [
      await readAllDocuments(arriving(texts), rules),
      parseDocuments(texts, rules),
    ];
    expect(read.complaints).toEqual(expected.complaints);
    expect(read.entries.map(({ source }) => source)).toEqual(
      expected.entries.map(({ source }) => source),
    );
    expect(read.entries.map(({ draft }) => draft)).toEqual(
      expected.entries.map(({ draft }) => draft),
    );
    expect(expected.complaints.length).toBeGreaterThan(200);
  });

  it('fails when the texts do', async () => {
    async function* failing(): AsyncGenerator<DocumentText> {
      yield* texts;
      throw new Error('no such file');
    }
    await expect(readAllDocuments(failing(), rules)).rejects.toThrow('no such file');
  });
});
