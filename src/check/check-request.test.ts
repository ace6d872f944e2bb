import { beforeAll, describe, expect, it } from 'vitest';
import { type EnvoyMessages, loadEnvoyMessages } from '../../test/oracles/envoy-messages.ts';
import { parseCheckRequest } from './check-request.ts';

const TYPE = 'envoy.service.auth.v3.CheckRequest';
let envoy: EnvoyMessages;
beforeAll(async () => {
  envoy = await loadEnvoyMessages(['envoy/service/auth/v3/external_auth.proto']);
});

const request = (http: object, more: object = {}): Buffer =>
  envoy.write(TYPE, { attributes: { request: { http }, ...more } });
const header = (key: string, raw: string | Buffer) => ({ key, raw_value: Buffer.from(raw) });

it('takes no raw value for that of a header whose lines are joined: others see none there (AUTHZ-6)', () => {
  const bytes = request({ headers: { 'x-user': 'a' } });
  const tag = bytes.indexOf('x-user') + 'x-user'.length;
  expect(bytes[tag]).toBe(0x12);
  bytes[tag] = 0x1a;
  expect(() => parseCheckRequest(bytes)).toThrow(
    expect.objectContaining({ code: 'ERR_CHECK_REQUEST' }),
  );
});

describe('a CheckRequest as Envoy writes it', () => {
  it('tells the peers', () => {
    const address = (ip: string, port: number) => ({
      socket_address: { address: ip, port_value: port },
    });
    const { source, destination } = parseCheckRequest(
      request(
        {},
        {
          source: {
            address: address('10.8.0.1', 41_000),
            principal: 'spiffe://a.test/x',
            certificate: '-----BEGIN%20CERTIFICATE-----',
            service: 'chosen-by-the-client',
          },
          destination: { address: address('::1', 8443), principal: 'spiffe://a.test/api' },
        },
      ),
    );
    expect(source).toEqual({
      ip: '10.8.0.1',
      port: 41_000,
      principal: 'spiffe://a.test/x',
      certificate: '-----BEGIN%20CERTIFICATE-----',
    });
    expect(destination).toMatchObject({ ip: '::1', port: 8443, principal: 'spiffe://a.test/api' });
  });

  it('tells the request, and its headers when they are asked for', () => {
    const { http } = parseCheckRequest(
      request({
        method: 'POST',
        path: '/v1/charges?x=1',
        host: 'Api.Example:8080',
        size: '-1',
        protocol: 'HTTP/2',
        headers: { 'x-user': 'a', ':method': 'POST' },
      }),
    );
    expect(http).toMatchObject({
      method: 'POST',
      target: '/v1/charges?x=1',
      host: 'Api.Example:8080',
    });
    expect(http?.headers('x-user')).toEqual(['a']);
    expect(http?.headers('x-use')).toEqual([]);
    expect(http?.headers('x-users')).toEqual([]);
    const names: string[] = [];
    http?.visitNames((bytes, from, to) =>
      names.push(String(Buffer.from(bytes.subarray(from, to)))),
    );
    expect(names.toSorted()).toEqual([':method', 'x-user']);
  });

  it('keeps lines apart where the proxy sends them raw', () => {
    const headers = [header('x-role', 'a'), header('X-Role', 'b, c'), header('x-empty', '')];
    const { http } = parseCheckRequest(
      request({ header_map: { headers }, headers: { 'x-role': 'joined' } }),
    );
    expect(http?.headers('x-role')).toEqual(['a', 'b, c']);
    expect(http?.headers('x-empty')).toEqual(['']);
  });

  it('has rules see each part of what the proxy may have joined', () => {
    const { http } = parseCheckRequest(
      request({ headers: { 'x-ticket': 'INC-1,evil', date: 'Mon, 1', one: 'a' } }),
    );
    expect(http?.headers('x-ticket')).toEqual(['INC-1,evil', 'INC-1', 'evil']);
    expect(http?.headers('date')).toEqual(['Mon, 1', 'Mon', '1']);
    expect(http?.headers('one')).toEqual(['a']);
    expect(http?.lines('x-ticket')).toEqual(['INC-1,evil']);
  });

  it('reads UTF-8, and makes of other bytes what no rule can name', () => {
    const headers = [header('x', 'grün'), header('x', Buffer.from([0x67, 0xfc]))];
    const { http } = parseCheckRequest(request({ header_map: { headers } }));
    expect(http?.headers('x')).toEqual(['grün', 'g\uFFFD']);
  });

  it('tells what the route says and what filters found out', () => {
    const struct = (fields: object) => ({ fields });
    const claims = struct({
      iss: { stringValue: 'https://sso' },
      exp: { numberValue: 1.5e9 },
      admin: { boolValue: false },
      none: { nullValue: 0 },
      groups: { listValue: { values: [{ stringValue: 'a' }, { numberValue: -2 }] } },
    });
    const { contextExtensions, metadata } = parseCheckRequest(
      request(
        {},
        {
          context_extensions: { 'trustplane.policy': 'payments', other: '' },
          metadata_context: {
            filter_metadata: { jwt: struct({ payload: { structValue: claims } }) },
          },
        },
      ),
    );
    expect([...contextExtensions]).toEqual([
      ['trustplane.policy', 'payments'],
      ['other', ''],
    ]);
    expect(metadata.get('jwt')).toEqual({
      payload: {
        iss: 'https://sso',
        exp: 1.5e9,
        admin: false,
        none: null,
        groups: ['a', -2],
      },
    });
  });

  it('has no HTTP where the network filter asks', () => {
    expect(
      parseCheckRequest(envoy.write(TYPE, { attributes: { source: {} } })).http,
    ).toBeUndefined();
  });

  it('may have fields that are not known here', () => {
    const unknown = Buffer.from('f2ff01036869319d3f01020304d90f0102030405060708', 'hex');
    const known = request({ method: 'GET', path: '/' });
    expect(parseCheckRequest(Buffer.concat([known, unknown])).http?.method).toBe('GET');
  });
});

describe('what is no CheckRequest', () => {
  it.each([
    ['nothing', ''],
    ['no attributes', '1200'],
    ['two attributes', '0a000a00'],
    ['attributes as a number', '0801'],
    ['a field beyond its message', '0a05'],
    ['a group', '0b0c'],
    ['field 0', '0200'],
    ['a varint without end', '0affffffffffffffffffff'],
    ['two sources', '0a040a000a00'],
    ['two paths', '0a0a2208120622012f22012f'],
    ['a null that is a message', '0a125a100a0e0a016112090a070a016212020a00'],
  ])('is refused: %s', (_, hex) => {
    expect(() => parseCheckRequest(Buffer.from(hex, 'hex'))).toThrow(
      expect.objectContaining({ code: 'ERR_CHECK_REQUEST' }),
    );
  });

  it.each([
    ['without a name', '1a0161'],
    ['with two names', '0a01610a0162'],
    ['with two values', '0a0161120162120163'],
    ['with a value of each kind', '0a01611201621a0163'],
    ['with a value that is none', '0a01611001'],
    ['that ends within its name', '0a0561'],
    ['that ends within its value', '0a01611a0562'],
  ])('is refused with a header %s, whoever asks for it', (_, hex) => {
    const entry = Buffer.from(hex, 'hex');
    const inMap = (tags: readonly number[]): Buffer =>
      tags.reduceRight((inner, tag) => Buffer.concat([Buffer.of(tag, inner.length), inner]), entry);
    for (const tags of [
      [0x0a, 0x22, 0x12, 0x1a],
      [0x0a, 0x22, 0x12, 0x6a, 0x0a],
    ])
      expect(() => parseCheckRequest(inMap(tags))).toThrow(
        expect.objectContaining({ code: 'ERR_CHECK_REQUEST' }),
      );
  });

  it('is refused with too many headers, or values too deep', () => {
    const headers = Array.from({ length: 2_001 }, () => header('x', ''));
    expect(() => parseCheckRequest(request({ header_map: { headers } }))).toThrow(/2000 headers/u);
    let value: object = { nullValue: 0 };
    for (let depth = 0; depth < 17; depth++) value = { structValue: { fields: { x: value } } };
    const metadata_context = { filter_metadata: { x: { fields: { x: value } } } };
    expect(() => parseCheckRequest(request({}, { metadata_context }))).toThrow(/16 levels/u);
  });
});
