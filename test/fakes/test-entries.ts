import { type EntryDraft, type EntryStamp, parseEntry } from '../../src/entries/entry.ts';
import { parseSelector, type RegistrationEntry, TrustDomain } from '../../src/spiffe/index.ts';

export const testTrustDomain: TrustDomain = TrustDomain.parse('a.test');
export const testAgentId = 'spiffe://a.test/spire/agent/local/up';

/** A valid draft: `/<name>` below the test agent, for `unix:uid:1000` unless told otherwise. */
export function testDraft(
  name: string,
  selectors: readonly string[] = ['unix:uid:1000'],
  more: Partial<EntryDraft> = {},
): EntryDraft {
  return {
    spiffeId: `spiffe://a.test/${name}`,
    parentId: testAgentId,
    selectors: selectors.map(parseSelector),
    ...more,
  };
}

/** A valid entry whose ID is its name, at the fake clock's beginning. */
export function testEntry(
  name: string,
  selectors?: readonly string[],
  more: Partial<EntryDraft> & Partial<EntryStamp> = {},
): RegistrationEntry {
  const now = Date.parse('2026-01-01T00:00:00Z');
  const { id = name, createdAt = now, revisionNumber = 0, ...draft } = more;
  return parseEntry(
    testDraft(name, selectors, draft),
    { id, createdAt, revisionNumber },
    { trustDomain: testTrustDomain, now },
  );
}
