import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkDocument, parseStrictYaml } from '../ops/index.ts';
import { buildConfig, configJsonSchema, loadConfigFile } from './config.ts';
import { configSchema } from './config-schema.ts';
import { defaultPaths } from './default-paths.ts';

const paths = defaultPaths(1000, { HOME: '/home/a', XDG_RUNTIME_DIR: '/run/user/1000' });
const read = (text: string) => checkDocument(parseStrictYaml(text, 'c.yaml'), configSchema);

describe('configuration', () => {
  it('has a default for everything', () => {
    const config = buildConfig({}, read(''), paths);
    expect(config).toMatchObject({
      dataDir: '/home/a/.local/share/trustplane',
      socket: '/run/user/1000/trustplane/agent.sock',
      adminSocket: '/run/user/1000/trustplane/admin.sock',
      caTtlMs: 86_400_000,
      x509SvidTtlMs: 3_600_000,
    });
    expect(config.trustDomain.name).toBe('example.org');
  });

  it('lets flags win over the file', () => {
    const file = read('trustDomain: file.test\nserver: { ca: { ttl: 2h } }\n');
    const config = buildConfig({ trustDomain: 'flag.test', x509SvidTtl: '5m' }, file, paths);
    expect(config).toMatchObject({ caTtlMs: 7_200_000, x509SvidTtlMs: 300_000 });
    expect(config.trustDomain.name).toBe('flag.test');
  });

  it.each([
    ['0.0.0.0:8081', { host: '0.0.0.0', port: 8081 }],
    ['[::1]:0', { host: '::1', port: 0 }],
  ])('reads the address %s', (bindAddress, address) => {
    expect(buildConfig({ bindAddress }, {}, paths).bindAddress).toEqual(address);
  });

  it('takes a template for agents with a CA bundle alone', () => {
    const template = 'agentPathTemplate: "/x509pop/{{ .Subject.CommonName }}"';
    const of = (text: string) =>
      buildConfig({}, read(`server: { nodeAttestors: { x509pop: { ${text} } } }\n`), paths);
    expect(of(`caBundle: /ca.pem, ${template}`).nodeAttestors.x509pop).toEqual({
      caBundle: '/ca.pem',
      agentPathTemplate: '/x509pop/{{ .Subject.CommonName }}',
    });
    expect(() => of(template)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
  });

  it('shortens the default SVID life with the life of the CA', () => {
    const short = buildConfig({ caTtl: '24s' }, {}, paths);
    expect([short.x509SvidTtlMs, short.jwtSvidTtlMs]).toEqual([4_000, 4_000]);
    expect(buildConfig({}, {}, paths).jwtSvidTtlMs).toBe(300_000);
  });

  it.each([
    ['trustdomain: a.test\n', 'c.yaml:1:1: trustdomain: unknown key'],
    ['log: { levle: info }\n', 'c.yaml:1:8: log.levle: unknown key; known here: level'],
    ['server:\n  ca: { ttl: 24h, typ: x }\n', 'c.yaml:2:19: server.ca.typ: unknown key'],
    [
      'server:\n  ca:\n    ttl: 24\n',
      'c.yaml:3:10: server.ca.ttl: expected duration, 10s to 3650d, got 24',
    ],
    [
      'server:\n  ca:\n    ttl: 24 hours\n',
      'c.yaml:3:10: server.ca.ttl: a duration is a number with a unit',
    ],
    [
      'server:\n  ca:\n    ttl: 1s\n',
      'c.yaml:3:10: server.ca.ttl: expected a duration of 10s to 3650d',
    ],
    [
      'trustDomain: A.test\n',
      'c.yaml:1:14: trustDomain: the trust domain "A.test" has "A" at offset 0',
    ],
    ['log:\n  level: loud\n', 'c.yaml:2:10: log.level: expected "trace" or "debug"'],
    [
      'agent:\n  socket: run/agent.sock\n',
      'c.yaml:2:11: agent.socket: expected an absolute path, got "run/agent.sock"',
    ],
    [
      'metrics: { address: 0.0.0.0:80 }\n',
      'c.yaml:1:21: metrics.address: expected a loopback address',
    ],
    [
      'server: { bindAddress: "localhost:8081" }\n',
      'c.yaml:1:24: server.bindAddress: expected an IP address and port',
    ],
    [
      'server: { bindAddress: "[1.2.3.4]:8081" }\n',
      'c.yaml:1:24: server.bindAddress: expected an IP address and port',
    ],
    [
      'server: { jwtSvid: { issuer: "https://a.test/?x" } }\n',
      'c.yaml:1:30: server.jwtSvid.issuer: expected an https URL',
    ],
    [
      'server: { ca: { vault: { address: "https://v.test", keyPrefix: "a b", auth: { tokenFile: /t } } } }\n',
      'c.yaml:1:64: server.ca.vault.keyPrefix: expected a text that matches /',
    ],
    ['server: []\n', 'c.yaml:1:9: server: expected a mapping, got a list'],
    ['- a\n', 'c.yaml:1:1: expected a mapping, got a list'],
  ])('refuses %j with its place', (text, message) => {
    expect(() => read(text)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(message) }),
    );
  });

  it('names every problem at once', () => {
    expect(() => read('x: 1\ny: 2\n')).toThrow(
      /^c\.yaml:1:1: x: unknown key; known here: trustDomain, .*\nc\.yaml:2:1: y: unknown key/u,
    );
  });

  it('refuses contradictions', () => {
    expect(() => buildConfig({ x509SvidTtl: '2h', caTtl: '1h' }, {}, paths)).toThrow(
      /cannot outlive its authority/u,
    );
    expect(() => buildConfig({ socket: '/a', adminSocket: '/a' }, {}, paths)).toThrow(
      /must differ/u,
    );
  });

  it('names the flag whose value is wrong', () => {
    expect(() => buildConfig({ caTtl: 'soon' }, {}, paths)).toThrow(/^--ca-ttl: a duration is/u);
  });

  it('says why a file cannot be read, and refuses an oversized one', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'trustplane-config-'));
    expect(() => loadConfigFile(path.join(dir, 'none.yaml'), {})).toThrow(
      /cannot be read: ENOENT/u,
    );
    writeFileSync(path.join(dir, 'big.yaml'), `#${'x'.repeat(1_048_576)}`);
    expect(() => loadConfigFile(path.join(dir, 'big.yaml'), {})).toThrow(
      /at most 1048576 are read/u,
    );
  });

  it('publishes a JSON Schema without unknown keys', () => {
    expect(configJsonSchema()).toMatchObject({
      type: 'object',
      additionalProperties: false,
      properties: { trustDomain: { type: 'string' } },
    });
  });
});

describe('default paths', () => {
  it('are the system folders for root', () => {
    expect(defaultPaths(0, {})).toMatchObject({
      dataDir: '/var/lib/trustplane',
      socket: '/run/trustplane/agent.sock',
    });
  });

  it('fall back to /tmp without XDG directories', () => {
    expect(defaultPaths(7, { XDG_RUNTIME_DIR: 'relative' })).toMatchObject({
      dataDir: '/tmp/trustplane-7/data',
      socket: '/tmp/trustplane-7/agent.sock',
    });
  });
});
