import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { parseDocuments } from './documents.ts';

const rules = { trustDomain: TrustDomain.parse('a.test'), now: Date.UTC(2027, 0, 1) };
const parse = (text: string) => parseDocuments([{ name: 'x.yaml', text }], rules);

const WEB = `apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: spiffe://a.test/web
parentId: spiffe://a.test/spire/agent/x
selectors: [unix:uid:1000]
`;

describe('documents of entries', () => {
  it('are several in a file, and JSON is one of them', () => {
    const json = JSON.stringify({
      apiVersion: 'trustplane/v1',
      kind: 'RegistrationEntry',
      id: 'api',
      spiffeId: 'spiffe://a.test/api',
      parentId: 'spiffe://a.test/web',
      selectors: ['unix:uid:1001'],
      x509SvidTtl: '1h',
    });
    const { entries, complaints } = parse(`# first\n---\n${WEB}---\n# none\n---\n${json}\n...\n`);
    expect(complaints).toEqual([]);
    expect(entries.map(({ source, entry }) => [source, entry.spiffeId.path])).toEqual([
      ['x.yaml:3', '/web'],
      ['x.yaml:11', '/api'],
    ]);
    expect(entries[1]?.draft).toMatchObject({ id: 'api', x509SvidTtlSeconds: 3_600 });
  });

  it('are all judged: every mistake is named with its place', () => {
    const { complaints } =
      parse(`${WEB.replace('uid:1000', 'uid:x, k8s').replace('a.test/web', 'b.test/web')}---
apiVersion: trustplane/v1
kind: Secret
---
kind: RegistrationEntry
---
${WEB}dnsNames: [ok.test, Bad, ok2.test, 'a b']
x509SvidTtl: soon
colour: red
hint: 7
---
${WEB}dnsNames: [ok.test, Bad, ok2.test, 'a b']
x509SvidTtl: soon
---
a: [
---
- list
`);
    expect(complaints).toMatchInlineSnapshot(`
      [
        "x.yaml:3:11: spiffeId: expected an ID with a path in spiffe://a.test, got "spiffe://b.test/web"",
        "x.yaml:5:13: selectors.0: expected a decimal number from 0 to 4294967295, got "x"",
        "x.yaml:5:25: selectors.1: a selector has the form type:value, for example unix:uid:1000, got "k8s:"",
        "x.yaml:8:7: kind: expected RegistrationEntry or FederationRelationship, got "Secret"",
        "x.yaml:10:1: apiVersion: expected trustplane/v1, got nothing",
        "x.yaml:20:7: hint: expected a text, got 7",
        "x.yaml:19:1: colour: unknown key; known here: apiVersion, kind, id, spiffeId, parentId, selectors, x509SvidTtl, jwtSvidTtl, federatesWith, dnsNames, hint, admin, downstream, storeSvid, disableX509SvidPrefetch, jwtSvidIncludeJti, expiresAt, variables",
        "x.yaml:18:14: x509SvidTtl: a duration is a number with a unit out of ms, s, m, h, d, for example 90s or 1h30m; got "soon"",
        "x.yaml:17:21: dnsNames.1: expected a DNS name (lower-case RFC 1123 labels, "*" only as the first), got "Bad", which has the label "Bad"",
        "x.yaml:17:36: dnsNames.3: expected a DNS name (lower-case RFC 1123 labels, "*" only as the first), got "a b", which has the label "a b"",
        "x.yaml:28:14: x509SvidTtl: a duration is a number with a unit out of ms, s, m, h, d, for example 90s or 1h30m; got "soon"",
        "x.yaml:27:21: dnsNames.1: expected a DNS name (lower-case RFC 1123 labels, "*" only as the first), got "Bad", which has the label "Bad"",
        "x.yaml:27:36: dnsNames.3: expected a DNS name (lower-case RFC 1123 labels, "*" only as the first), got "a b", which has the label "a b"",
        "x.yaml:31:1: Flow sequence in block collection must be sufficiently indented and end with a ]",
        "x.yaml:32:1: expected a mapping",
      ]
    `);
  });

  it('may be there once', () => {
    const { complaints, entries } = parse(`${WEB}---\n${WEB}`);
    expect(entries).toHaveLength(1);
    expect(complaints).toEqual(['x.yaml:7:1: the same parent, ID and selectors as at x.yaml:1']);
  });

  it('that have expired are left out, and policies are pointed elsewhere', () => {
    const { entries, notes, complaints } = parse(
      `${WEB}expiresAt: 2026-01-31T12:00:00Z\n---\napiVersion: trustplane/v1\nkind: Policy\n`,
    );
    expect([entries, complaints]).toEqual([[], []]);
    expect(notes).toEqual([
      'x.yaml:1: spiffe://a.test/web has expired, and is left out',
      'x.yaml:8: policies are applied by trustplane policy apply',
    ]);
  });
});
