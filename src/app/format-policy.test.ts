import { describe, expect, it } from 'vitest';
import { formatPolicy } from './format-policy.ts';

const format = (text: string) => formatPolicy('p.yaml', Buffer.from(text));

const scattered = `# yaml-language-server: $schema=x
# who may pay
rules:   # all of them

  # the shop
  - allow: [ "POST /v1/charges" , GET /v1/charges/* ] # two
    from:
      - spiffe://prod.example/shop   # the only one
    id: shop


  - {id: ops, log: always, from: {except: [spiffe://prod.example/ops/bot], ids: ["spiffe://prod.example/ops/*"]}, allow:
      ['GET /v1/{any}/**']}
kind: Policy
metadata: {owner: "team: pay", name: payments}
sets: { b: [spiffe://prod.example/b], a: [spiffe://prod.example/a] }
service: spiffe://prod.example/api
apiVersion: trustplane/v1
# the end
`;

const formed = `# yaml-language-server: $schema=x
# who may pay

apiVersion: trustplane/v1
kind: Policy
metadata: { name: payments, owner: "team: pay" }
service: spiffe://prod.example/api
sets:
  b: [spiffe://prod.example/b]
  a: [spiffe://prod.example/a]
rules:
  # all of them

  # the shop
  - id: shop
    from:
      - spiffe://prod.example/shop # the only one
    allow: ["POST /v1/charges", GET /v1/charges/*] # two

  - id: ops
    from: { ids: ["spiffe://prod.example/ops/*"], except: [spiffe://prod.example/ops/bot] }
    allow: ['GET /v1/{any}/**']
    log: always

# the end
`;

describe('the form of a policy', () => {
  it('has members in order, short ones on a line, and every comment', () => {
    expect(format(scattered)).toBe(formed);
  });

  it('is the same once it is formed, and for CRLF and a byte order mark', () => {
    expect(format(formed)).toBe(formed);
    expect(format(`\uFEFF${scattered.replaceAll('\n', '\r\n')}`)).toBe(formed);
  });

  it('keeps the order of rules, lists and names that authors chose', () => {
    const rule = 'id: a, from: [$z, $b], allow: [/z, /b], map: { x-z: u, x-a: u }';
    const text =
      format(`{apiVersion: trustplane/v1, kind: Policy, metadata: {name: p}, service: spiffe://a/b,
      sets: {z: [spiffe://a/z], b: [spiffe://a/b]}, rules: [{id: z, from: anyone, allow: [/x]}, {${rule}}]}`);
    expect(text.slice(text.indexOf('sets'))).toBe(`sets:
  z: [spiffe://a/z]
  b: [spiffe://a/b]
rules:
  - id: z
    from: anyone
    allow: [/x]
  - id: a
    from: [$z, $b]
    allow: [/z, /b]
    map: { x-z: u, x-a: u }
`);
  });

  it('divides what is too long for a line', () => {
    const paths = Array.from({ length: 12 }, (_, at) => `/a/rather/long/path/${at}`);
    const allow = paths.join(', ');
    const text = format(formed.replace('["POST /v1/charges", GET /v1/charges/*]', `[${allow}]`));
    expect(text).toContain('    allow:\n      - /a/rather/long/path/0\n');
  });

  it('is refused for what is no policy', () => {
    expect(() => format('kind: Policy\n')).toThrow(/p\.yaml:1:1: apiVersion/u);
    expect(() => format('a: &x 1\n')).toThrow(/p\.yaml:1:/u);
  });
});
