import { describe, expect, it } from 'vitest';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificateOptions,
  testNow,
} from '../../test/fakes/test-certificates.ts';
import * as oracle from '../../test/oracles/x509.ts';
import { parseCertificate } from './certificate.ts';
import { nameConstraintsFault } from './name-constraints.ts';
import { verifyX509Svid } from './x509-path.ts';
import { parseX509Svid } from './x509-svid.ts';

const [EMAIL, DNS, DIRECTORY, URI, IP] = [0x81, 0x82, 0xa4, 0x86, 0x87];
type Subtree = readonly [tag: number, base: string | Uint8Array];

const der = (tag: number, ...parts: readonly Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, content.length]), content]);
};
const subtrees = (tag: number, bases: readonly Subtree[]) => {
  if (bases.length === 0) return Buffer.alloc(0);
  return der(tag, ...bases.map(([type, base]) => der(0x30, der(type, Buffer.from(base)))));
};
const constraints = (permitted: readonly Subtree[], excluded: readonly Subtree[] = []) =>
  new oracle.Extension(
    '2.5.29.30',
    true,
    der(0x30, subtrees(0xa0, permitted), subtrees(0xa1, excluded)),
  );

/** Verifies a leaf below an intermediate with these constraints. */
async function verify(
  extension: oracle.Extension,
  leafOptions: TestCertificateOptions = {},
  authorityOptions: TestCertificateOptions = {},
): Promise<void> {
  const root = await makeAuthority({ subject: 'CN=root', extensions: [extension] });
  const subject = '';
  const middle = await makeAuthority({ subject: 'CN=middle', issuer: root, ...authorityOptions });
  const leaf = await makeCertificate({ subject, issuer: middle, ...leafOptions });
  verifyX509Svid(parseX509Svid([leaf.der, middle.der]), bundleOf('a.test', root), testNow);
}
const outside = (why: string) =>
  expect.objectContaining({
    code: 'ERR_X509_NAME_CONSTRAINTS',
    message: expect.stringContaining(why),
  });

describe('name constraints', () => {
  it('permits the URI host a.test to a leaf of a.test and not to one of b.test (X509-9)', async () => {
    await expect(verify(constraints([[URI, 'a.test']]))).resolves.toBeUndefined();
    const other = constraints([[URI, 'b.test']]);
    await expect(verify(other)).rejects.toThrow(
      outside('"spiffe://a.test/web", which is not permitted'),
    );
  });

  it('holds intermediates to the constraints too (X509-9)', async () => {
    const other = constraints([[URI, 'b.test']]);
    const { nameConstraints } = parseCertificate(
      (await makeAuthority({ extensions: [other] })).der,
    );
    const intermediate = parseCertificate((await makeAuthority()).der);
    expect(nameConstraints && nameConstraintsFault(nameConstraints, intermediate)).toBe(
      'the name "spiffe://a.test", which is not permitted',
    );
    const excluded = constraints([], [[DNS, 'middle.test']]);
    await expect(verify(excluded, {}, { dns: ['middle.test'] })).rejects.toThrow(
      outside('"middle.test", which "middle.test" excludes'),
    );
  });

  it.each<[string, readonly Subtree[], readonly Subtree[], string]>([
    [
      'one of several hosts',
      [
        [URI, 'b.test'],
        [URI, 'A.TEST'],
      ],
      [],
      'none',
    ],
    ['hosts below a domain', [[URI, '.test']], [], 'none'],
    ['a host is not its sub-domains', [[URI, 'test']], [], 'not permitted'],
    ['a domain is not its host', [[URI, '.a.test']], [], 'not permitted'],
    ['an excluded host', [], [[URI, 'a.test']], '"a.test" excludes'],
    ['excluded wins over permitted', [[URI, 'a.test']], [[URI, '.test']], '".test" excludes'],
    ['another host is excluded', [], [[URI, 'b.test']], 'none'],
    ['everything is excluded', [], [[URI, '']], '"" excludes'],
    ['a URI instead of a host', [[URI, 'spiffe://a.test']], [], 'malformed constraint'],
    ['DNS names the leaf does not have', [[DNS, 'b.test']], [], 'none'],
    ['e-mail addresses the leaf does not have', [[EMAIL, 'b.test']], [], 'none'],
    ['IP addresses the leaf does not have', [[IP, new Uint8Array(8)]], [], 'none'],
  ])('evaluates URI constraints: %s (X509-9)', async (_, permitted, excluded, why) => {
    const fault = await verify(constraints(permitted, excluded)).then(
      () => 'none',
      (error: Error) => error.message,
    );
    expect(fault).toContain(why);
  });

  it('exempts self-issued intermediates (X509-9)', async () => {
    const permitted = constraints([[URI, 'a.test']]);
    const names = { uris: ['https://pki.b.test'], subject: 'CN=root' };
    await expect(verify(permitted, {}, names)).resolves.toBeUndefined();
    await expect(verify(permitted, {}, { ...names, subject: 'CN=middle' })).rejects.toThrow(
      outside('pki.b.test'),
    );
  });

  it('evaluates DNS constraints, which cover a domain and all below it', async () => {
    const dns = ['web.a.test'];
    for (const base of ['a.test', 'web.a.test', '.a.test', 'TEST']) {
      await expect(verify(constraints([[DNS, base]]), { dns })).resolves.toBeUndefined();
    }
    for (const base of ['b.test', 'eb.a.test', 'x.web.a.test']) {
      await expect(verify(constraints([[DNS, base]]), { dns })).rejects.toThrow(
        outside('web.a.test'),
      );
    }
    await expect(verify(constraints([], [[DNS, 'a.test']]), { dns })).rejects.toThrow(
      outside('excludes'),
    );
  });

  it('refuses a URI host that is an IP address under URI constraints (X509-9)', async () => {
    const uris = ['spiffe://1.2.3.4/web'];
    const root = await makeAuthority({ uris: [], extensions: [constraints([[URI, '1.2.3.4']])] });
    const leaf = await makeCertificate({ issuer: root, uris });
    const svid = parseX509Svid([leaf.der]);
    expect(() => verifyX509Svid(svid, bundleOf('1.2.3.4', root), testNow)).toThrow(
      outside('which has no host name'),
    );
  });

  it('refuses constraints that it does not evaluate as soon as a name falls under them (X509-9)', async () => {
    const directory = constraints([[DIRECTORY, Buffer.from('3000', 'hex')]]);
    await expect(verify(directory)).rejects.toThrow(outside('type 4, which is not evaluated'));
    const email = constraints([[EMAIL, 'a.test']]);
    await expect(verify(email, { subject: 'E=x@b.test' })).rejects.toThrow(outside('type 1'));
  });

  it('refuses constraints with minimum or maximum, or none at all', async () => {
    const base = der(URI, Buffer.from('a.test'));
    const withMinimum = der(0x30, der(0xa0, der(0x30, base, der(0x80, Buffer.from([1])))));
    const extension = new oracle.Extension('2.5.29.30', true, withMinimum);
    await expect(verify(extension)).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_CERTIFICATE' }),
    );
  });
});
