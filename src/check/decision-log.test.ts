import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import type { Decision } from '../authz/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { CheckRecord } from './check-handler.ts';
import { parseCheckRequest } from './check-request.ts';
import { createDecisionLog, type DecisionLog, type DecisionLogOptions } from './decision-log.ts';
import { writeField, writeNumber } from './proto-writer.ts';

const WEB = SpiffeId.parse('spiffe://prod.example/web');
const AT = Date.parse('2026-11-22T10:00:00.007Z');

const allowed: Decision = {
  isAllowed: true,
  reason: 'allowed_by_rule',
  policy: 'payments',
  ruleId: 'read',
  policyDigest: 'd1',
  headers: new Map([['x-user', 'secret-user']]),
  removedHeaders: [],
  observed: [],
  assertedHeaders: [],
};
const denied: Decision = {
  ...allowed,
  isAllowed: false,
  reason: 'no_rule_matched',
  policy: undefined,
  ruleId: undefined,
};

let clock: FakeClock;
let batches: { readonly lines: Buffer; readonly count: number }[];
beforeEach(() => {
  clock = new FakeClock(AT);
  batches = [];
});

function open(options: Partial<DecisionLogOptions> = {}): DecisionLog {
  const sink = {
    write: (lines: Buffer, count: number) => void batches.push({ lines, count }),
    close: async () => {},
  };
  return createDecisionLog({ sinks: [sink], sample: 1, headers: [], clock, ...options });
}

function lines(): string[] {
  return Buffer.concat(batches.map((batch) => batch.lines))
    .toString('latin1')
    .split('\n')
    .slice(0, -1);
}

interface Http {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly headers?: readonly (readonly [string, string | Uint8Array])[];
}

function requestOf(http: Http | undefined, principal: string = WEB.toString()): Buffer {
  const address = writeField(1, [
    writeField(1, [writeField(2, '10.0.0.1'), writeNumber(3, 43_210)]),
  ]);
  const header = ([name, value]: readonly [string, string | Uint8Array]) =>
    writeField(1, [
      writeField(1, name),
      writeField(3, typeof value === 'string' ? value : [value]),
    ]);
  const { method = 'GET', target = '/v1/x', host = 'api.example', headers = [] } = http ?? {};
  const attributes = [
    writeField(1, [address, writeField(4, principal)]),
    writeField(2, [writeField(4, 'spiffe://prod.example/api')]),
    writeField(4, [
      writeField(2, [
        writeField(2, method),
        writeField(4, target),
        writeField(5, host),
        writeField(13, headers.map(header)),
        writeField(11, 'the-body'),
      ]),
    ]),
  ];
  return writeField(1, http === undefined ? attributes.slice(0, 2) : attributes);
}

function recordOf(more: Partial<CheckRecord> = {}, http: Http | undefined = {}): CheckRecord {
  return {
    id: 'n1-1',
    decision: allowed,
    request: parseCheckRequest(requestOf(http)),
    caller: WEB,
    at: AT,
    latencyMicros: 7.04,
    ...more,
  };
}

async function lineOf(record: CheckRecord, options: Partial<DecisionLogOptions> = {}) {
  const log = open(options);
  log.record(record);
  await log.close();
  expect(lines()).toHaveLength(1);
  return JSON.parse(lines()[0] ?? '');
}

describe('a line', () => {
  it('says what was decided about what, by which rule, and how long it took (AUTHZ-17)', async () => {
    const line = await lineOf(
      recordOf(
        {
          decision: { ...allowed, observed: ['p/r'], shadow: { isAllowed: false, ruleId: 'p/r' } },
        },
        {
          target: '/v1/x?limit=10&cursor=secret-cursor&limit',
          headers: [
            [':path', '/v1/x'],
            ['Authorization', 'Bearer secret-token'],
            ['x-ticket', 'INC-1'],
            ['x-ticket', 'INC-2'],
          ],
        },
      ),
      { headers: ['x-ticket', 'x-absent'] },
    );
    expect(line).toEqual({
      time: '2026-11-22T10:00:00.007Z',
      id: 'n1-1',
      allowed: true,
      reason: 'allowed_by_rule',
      policy: 'payments',
      rule: 'read',
      policyDigest: 'd1',
      observed: ['p/r'],
      shadow: { allowed: false, rule: 'p/r' },
      caller: 'spiffe://prod.example/web',
      credential: 'x509-svid',
      source: '10.0.0.1',
      sourcePort: 43_210,
      service: 'spiffe://prod.example/api',
      method: 'GET',
      host: 'api.example',
      path: '/v1/x',
      query: ['limit', 'cursor', 'limit'],
      headers: { 'x-ticket': ['INC-1', 'INC-2'] },
      masked: ['authorization'],
      latencyMicros: 7,
    });
  });

  it('has no value of a header that is not listed, of a query, of a map, and no body (AUTHZ-17)', async () => {
    const target = '/v1/x?token=secret-a';
    const headers = [['cookie', 'secret-b']] as const;
    await lineOf(recordOf({}, { target, headers }));
    expect(lines()[0]).not.toMatch(/secret|the-body/u);
  });

  it('says what a caller claims that is not believed, and little of what cannot be read', async () => {
    const line = await lineOf(recordOf({ decision: denied, caller: 'bad_svid' }));
    expect(line).toMatchObject({ allowed: false, claimed: 'spiffe://prod.example/web' });
    expect(line.caller).toBeUndefined();
    batches = [];
    const unread = recordOf({ decision: denied, caller: undefined, request: undefined });
    const members = 'time id allowed reason policyDigest latencyMicros';
    expect(Object.keys(await lineOf(unread)).join(' ')).toBe(members);
  });

  it('says whom a token named beside the certificate, and who spoke for the caller', async () => {
    const [tokenCaller, proxy] = ['job', 'gateway'].map((name) =>
      SpiffeId.parse(`spiffe://prod.example/${name}`),
    );
    const line = await lineOf(recordOf({ tokenCaller, proxy }));
    expect(line).toMatchObject({
      caller: 'spiffe://prod.example/web',
      tokenCaller: 'spiffe://prod.example/job',
      proxy: 'spiffe://prod.example/gateway',
    });
    // A name that is there twice is read once.
    expect(lines()).toEqual([JSON.stringify(line)]);
  });

  it('is bounded, and says so', async () => {
    const headers = Array.from({ length: 100 }, (_, at) => [`x-${at}`, ''] as const);
    const line = await lineOf(recordOf({}, { target: `/${'x'.repeat(5_000)}`, headers }));
    expect(line).toMatchObject({ cut: true, path: `/${'x'.repeat(1_023)}` });
    expect(line.masked).toHaveLength(64);
  });

  it('parses and says the same for whatever a caller writes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const utf16 = fc
      .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
      .map((units) => String.fromCharCode(...units));
    const octets = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(text, utf16, text, octets, (method, ruleId, path, value) => {
        batches = [];
        const log = open({ headers: ['x-shown'] });
        const http = { method, target: path, headers: [['X-Shown', value]] as const };
        log.record(recordOf({ decision: { ...allowed, ruleId } }, http));
        void log.close();
        const [line = '', ...others] = lines();
        expect(others).toEqual([]);
        expect(line).toMatch(/^[ -~]*$/u);
        const parsed = JSON.parse(line);
        expect(parsed.method).toBe(Buffer.from(method).toString());
        expect(parsed.rule).toBe(ruleId);
        expect(parsed.path).toBe(Buffer.from(path).toString().split('?')[0]);
        const shown = new TextDecoder('utf-8', { ignoreBOM: true }).decode(value);
        expect(parsed.headers['x-shown']).toEqual([shown]);
      }),
    );
  });
});

describe('what is logged', () => {
  it('is a share of the allowed requests, the same each time, and every denied one', async () => {
    const shareOf = async (sample: number): Promise<string[]> => {
      batches = [];
      const log = open({ sample });
      for (let n = 0; n < 4_000; n++) log.record(recordOf({ id: `n1-${n.toString(36)}` }));
      await log.close();
      return lines().map((line) => JSON.parse(line).id);
    };
    const tenth = await shareOf(0.1);
    expect(tenth.length).toBeGreaterThan(300);
    expect(tenth.length).toBeLessThan(500);
    expect(await shareOf(0.1)).toEqual(tenth);
    expect(await shareOf(0)).toEqual([]);
    expect(await shareOf(1)).toHaveLength(4_000);
    batches = [];
    const log = open({ sample: 0 });
    log.record(recordOf({ decision: denied }));
    log.record(recordOf({ decision: { ...allowed, log: 'always' } }));
    log.record(recordOf());
    await log.close();
    expect(lines()).toHaveLength(2);
  });

  it('leaves in batches: after a while, or when there is much', async () => {
    const log = open();
    log.record(recordOf());
    log.record(recordOf());
    expect(batches).toEqual([]);
    clock.advance(100);
    expect(batches.map(({ count }) => count)).toEqual([2]);
    for (let n = 0; n < 1_000; n++) log.record(recordOf());
    expect(batches.length).toBeGreaterThan(3);
    await log.close();
    expect(clock.timers).toBe(0);
    expect(lines()).toHaveLength(1_002);
  });

  it('waits in no more memory than its lines have', async () => {
    const log = open();
    log.record(recordOf());
    clock.advance(100);
    for (let n = 0; n < 200; n++) log.record(recordOf());
    await log.close();
    const held = batches.map(({ lines: { buffer } }) => buffer.byteLength);
    expect(held).toEqual(batches.map(({ lines: { length } }) => length));
    expect(new Set(batches.map(({ lines: { buffer } }) => buffer)).size).toBe(batches.length);
  });
});
