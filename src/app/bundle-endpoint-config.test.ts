import { describe, expect, it } from 'vitest';
import { checkDocument, parseStrictYaml } from '../ops/index.ts';
import { buildConfig } from './config.ts';
import { configSchema } from './config-schema.ts';
import { defaultPaths } from './default-paths.ts';

const paths = defaultPaths(1000, { HOME: '/home/a', XDG_RUNTIME_DIR: '/run/user/1000' });

function build(text: string) {
  const yaml = `federation: { bundleEndpoint: { ${text} } }\n`;
  const file = checkDocument(parseStrictYaml(yaml, 'c.yaml'), configSchema);
  return buildConfig({}, file, paths).federation.bundleEndpoint;
}

const acme = 'profile: https_web, acme: { domainNames: [bundle.a.test], tosAccepted: true }';

it('is off unless it is configured', () => {
  expect(buildConfig({}, {}, paths).federation.bundleEndpoint).toBeUndefined();
});

it('serves https_spiffe at / on the address alone (FED-1)', () => {
  expect(build('address: 0.0.0.0:8443')).toEqual({
    address: { host: '0.0.0.0', port: 8443 },
    certificate: { kind: 'svid' },
    path: '/',
    leaveOutWitKeys: false,
    bundleMap: { path: undefined, envoyPath: undefined },
  });
});

it('serves https_web with a certificate from files, or by ACME (FED-1)', () => {
  const files = 'certificateFile: /c.pem, privateKeyFile: /k.pem';
  expect(build(`address: "[::]:8443", profile: https_web, ${files}`)?.certificate).toEqual({
    kind: 'files',
    certificateFile: '/c.pem',
    privateKeyFile: '/k.pem',
  });
  expect(build(`address: 0.0.0.0:443, ${acme}`)?.certificate).toEqual({
    kind: 'acme',
    directoryUrl: 'https://acme-v02.api.letsencrypt.org/directory',
    domainNames: ['bundle.a.test'],
    email: undefined,
    caFile: undefined,
  });
});

describe('it refuses', () => {
  it.each([
    ['an endpoint without an address', 'path: /x', 'address'],
    ['a name in place of an address', 'address: a.test:8443', 'expected an IP address and port'],
    ['another profile', 'address: 0.0.0.0:1, profile: http', 'profile'],
    ['https_web without a certificate', 'address: 0.0.0.0:1, profile: https_web', 'got neither'],
    [
      'https_web with two',
      `address: 0.0.0.0:1, certificateFile: /c.pem, privateKeyFile: /k.pem, ${acme}`,
      'got both',
    ],
    [
      'a certificate without a key',
      'address: 0.0.0.0:1, profile: https_web, certificateFile: /c.pem',
      'say nothing without each other',
    ],
    [
      'https_spiffe with a certificate',
      'address: 0.0.0.0:1, certificateFile: /c.pem, privateKeyFile: /k.pem',
      'https_spiffe shows an SVID',
    ],
    [
      'ACME whose terms are not accepted',
      'address: 0.0.0.0:1, profile: https_web, acme: { domainNames: [a.test] }',
      'acme.tosAccepted is not true',
    ],
    [
      'a directory that is not https',
      'address: 0.0.0.0:1, profile: https_web, acme: { domainNames: [a.test], directoryUrl: "http://a.test/" }',
      'expected an https URL',
    ],
    ...['A.test', 'localhost', '*.a.test', '-a.test', 'a..test', '10.0.0.1:443'].map((name) => [
      `the name ${name}`,
      `address: 0.0.0.0:1, profile: https_web, acme: { domainNames: ["${name}"], tosAccepted: true }`,
      'expected DNS name',
    ]),
    ...['bundle', '/a b', '/a?b', '/%2f', 'https://a.test/'].map((path) => [
      `the path ${path}`,
      `address: 0.0.0.0:1, path: "${path}"`,
      'expected path of a URL',
    ]),
    [
      'one path for two documents',
      'address: 0.0.0.0:1, path: /x, bundleMap: { envoyPath: /x }',
      'must differ; got /x, /x',
    ],
  ])('%s', (_what, text, why) => {
    expect(() => build(text)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(why) }),
    );
  });
});
