/** A file of documents with one mistake, all another. */
export interface BadDocument {
  readonly file: string;
  readonly content: string | Uint8Array;
  /** Where the mistake is, and what is said of it. */
  readonly line: number;
  readonly column: number;
  readonly what: string;
}

type Fields = Readonly<Record<string, string>>;

/** An entry that is right but for `change`, as lines of `name: value`; undefined leaves one out. */
function entry(name: string, change: Partial<Fields> = {}): string {
  const fields: Partial<Fields> = {
    apiVersion: 'trustplane/v1',
    kind: 'RegistrationEntry',
    spiffeId: `spiffe://a.test/${name}`,
    parentId: 'spiffe://a.test/node',
    selectors: '[unix:uid:1]',
    ...change,
  };
  return Object.entries(fields)
    .flatMap(([field, value]) => (value === undefined ? [] : [`${field}: ${value}\n`]))
    .join('');
}

const template = (change: Fields) =>
  entry('x', { spiffeId: 'spiffe://a.test/${a}', selectors: "['k8s:ns:${a}']", ...change });

const relationship = (domain: string, profile: string) =>
  `apiVersion: trustplane/v1
kind: FederationRelationship
trustDomain: ${domain}
bundleEndpointUrl: https://b.test/bundle
bundleEndpointProfile: ${profile}
`;

const many = Array.from({ length: 1_001 }, (_, i) => `v${i}`).join(', ');

const mistakes: readonly (readonly [
  name: string,
  content: (name: string) => string | Uint8Array,
  line: number,
  column: number,
  what: string,
])[] = [
  ['unknown key', (n) => entry(n, { colour: 'red' }), 6, 1, 'colour: unknown key'],
  ['unknown key within', (n) => entry(n, { variables: '{1a: [x]}' }), 6, 13, 'variables.1a'],
  ['kind', (n) => entry(n, { kind: 'Secret' }), 2, 7, 'kind: expected RegistrationEntry'],
  ['version', (n) => entry(n, { apiVersion: 'trustplane/v2' }), 1, 13, 'apiVersion: expected'],
  ['no version', (n) => entry(n, { apiVersion: undefined }), 1, 1, 'apiVersion: expected'],
  ['SPIFFE ID', (n) => entry(n, { spiffeId: 'https://a.test/x' }), 3, 11, 'spiffeId: '],
  ['trust domain', (n) => entry(n, { spiffeId: 'spiffe://b.test/x' }), 3, 11, 'in spiffe://a.test'],
  ['reserved', (n) => entry(n, { spiffeId: 'spiffe://a.test/spire/x' }), 3, 11, '/spire'],
  ['selector', (n) => entry(n, { selectors: '[unix:uid:1, k8s]' }), 5, 25, 'selectors.1: '],
  ['user ID', (n) => entry(n, { selectors: '[unix:uid:x]' }), 5, 13, 'decimal number'],
  ['no selectors', (n) => entry(n, { selectors: '[]' }), 5, 12, 'selectors: '],
  ['selectors are text', (n) => entry(n, { selectors: 'unix:uid:1' }), 5, 12, 'selectors: '],
  ['no parent', (n) => entry(n, { parentId: undefined }), 1, 1, 'parentId: '],
  ['no text', (n) => entry(n, { hint: '1' }), 6, 7, 'hint: expected a text'],
  ['twice', () => entry('good'), 1, 1, 'the same parent, ID and selectors as at '],
  ['used ID', (n) => entry(n, { id: 'good' }), 6, 5, 'the same entry ID as at '],
  [
    'key twice',
    (n) => `${entry(n)}hint: one\nhint: two\n`,
    7,
    1,
    'the key hint stands here a second',
  ],
  ['alias', (n) => `${entry(n)}dnsNames: &a [a.test]\nfederatesWith: *a\n`, 7, 16, 'aliases'],
  ['merge key', (n) => `${entry(n)}<<: {admin: true}\n`, 6, 1, 'merge keys'],
  ['tab', (n) => `${entry(n)}variables:\n\ta: [b]\n`, 7, 1, 'Tabs'],
  ['tag', (n) => entry(n, { hint: '!secret x' }), 6, 7, '!secret'],
  ['lifetime', (n) => entry(n, { x509SvidTtl: 'soon' }), 6, 14, 'x509SvidTtl: '],
  ['lifetime too long', (n) => entry(n, { jwtSvidTtl: '9000d' }), 6, 13, 'jwtSvidTtl: '],
  ['DNS name', (n) => entry(n, { dnsNames: '[a.test, "a b"]' }), 6, 20, 'dnsNames.1: '],
  ['instant', (n) => entry(n, { expiresAt: 'tomorrow' }), 6, 12, 'expiresAt: '],
  ['own domain', (n) => entry(n, { federatesWith: '[a.test]' }), 6, 17, 'federatesWith.0: '],
  ['flag', (n) => entry(n, { admin: '"yes"' }), 6, 8, 'admin: '],
  ['hint', (n) => entry(n, { hint: 'h'.repeat(1_025) }), 6, 7, 'hint: '],
  ['entry ID', (n) => entry(n, { id: '"a b"' }), 6, 5, 'id: '],
  [
    'store',
    (n) => entry(n, { selectors: '[unix:uid:1, k8s:ns:x]', storeSvid: 'true' }),
    5,
    12,
    'sel',
  ],
  [
    'variable unbound',
    () => template({ selectors: '[k8s:ns:x]', variables: '{a: [b]}' }),
    6,
    16,
    'in no selector',
  ],
  [
    'variable unknown',
    () => template({ spiffeId: 'spiffe://a.test/${a}/${b}', variables: '{a: [b]}' }),
    3,
    11,
    'got "b"',
  ],
  ['value', () => template({ variables: '{a: [x, ../y]}' }), 6, 20, 'variables.a.1: expected'],
  ['too many', () => template({ variables: `{a: [${many}]}` }), 6, 12, 'at most 1000 combinations'],
  [
    'parent by variable',
    () => template({ parentId: 'spiffe://a.test/${a}', variables: '{a: [p]}' }),
    4,
    11,
    'the parent',
  ],
  ['JSON', () => '{"apiVersion": "trustplane/v1",\n "kind" "x"}\n', 2, 9, ''],
  ['not UTF-8', (n) => Buffer.from(`${entry(n)}hint: caf\u00e9\n`, 'latin1'), 6, 10, 'not UTF-8'],
  ['second document', (n) => `${entry(n)}---\n- list\n`, 7, 1, 'expected a mapping'],
  ['unclosed', () => 'kind: [\n', 2, 1, ''],
  ['directive', (n) => `%YAML 1.2\n---\n${entry(n)}`, 1, 1, 'directives'],
  ['profile', () => relationship('b.test', 'http'), 5, 24, 'bundleEndpointProfile: '],
  ['relationship with itself', () => relationship('a.test', 'https_web'), 3, 14, 'trustDomain: '],
];

/** One without a mistake, which two of the others repeat, and one without a document. */
export const goodDocuments: Readonly<Record<string, string>> = {
  'good.yaml': entry('good', { id: 'good' }),
  'nothing.yaml': '# nothing\n---\n',
};

export const badDocuments: readonly BadDocument[] = mistakes.map(
  ([name, content, line, column, what]) => {
    const file = `${name.replaceAll(' ', '-')}.yaml`;
    return { file, content: content(name.replaceAll(' ', '-').toLowerCase()), line, column, what };
  },
);
