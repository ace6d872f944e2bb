import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createLog } from './log.ts';

function logged(write: (log: ReturnType<typeof createLog>) => void): string {
  const lines: string[] = [];
  write(createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } }));
  return lines.join('');
}

describe('the log', () => {
  it('shows no member that has the name of a secret, at any of three depths', () => {
    for (const name of ['token', 'csr', 'privateKey', 'passphrase', 'authorization', 'payload']) {
      const secret = 'c2VjcmV0';
      const fields = { [name]: secret, a: { [name]: secret, b: { [name]: secret } } };
      const line = logged((log) => log.child({ role: 'x' }).info(fields, 'said'));
      expect(line).not.toContain(secret);
      expect(line.match(/\[redacted\]/gu)).toHaveLength(3);
    }
  });

  it('shows no private key in PEM, wherever it stands', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    const line = logged((log) => log.warn({ error: `cannot read ${pem} there` }, 'failed'));
    expect(line).toContain('cannot read [redacted]');
    expect(line).toContain(' there');
    expect(line).not.toContain(pem.split('\n')[1]);
  });

  it.each([
    ['eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl', 'a token [redacted] was refused'],
    ['Bearer abc.def', 'a token Bearer [redacted]'],
    ['Authorization: Basic dXNlcjpwYXNz', 'a token Authorization: [redacted]'],
  ])('shows no %s in a message', (text, expected) => {
    const line = logged((log) => log.error({ error: `a token ${text} was refused` }, 'failed'));
    expect(line).toContain(expected);
  });

  it('keeps what is no secret', () => {
    const fields = { spiffeId: 'spiffe://a.test/x', serialNumber: 'ab12', path: '/eyJ/x.y' };
    expect(JSON.parse(logged((log) => log.info(fields, 'SVID issued')))).toMatchObject(fields);
  });
});

describe('the level', () => {
  it('can be set at any time, for children too', () => {
    const lines: string[] = [];
    const log = createLog({
      level: 'info',
      destination: { write: (line) => void lines.push(line) },
    });
    const child = log.child({ part: 'x' });
    child.debug({}, 'not written');
    log.level = 'debug';
    child.debug({}, 'written');
    log.level = 'fatal';
    child.error({}, 'not written either');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 'debug', part: 'x', msg: 'written' },
    ]);
    expect(log.configuredLevel).toBe('info');
  });
});
