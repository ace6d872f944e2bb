import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { type Bundle, IdScope } from '../spiffe/index.ts';
import { type messageType, toBuffer } from '../wire/index.ts';
import { loadDiscoveryMessages, type Resource } from '../xds/index.ts';
import { defaultSdsNames, type TrustedDomain } from './names.ts';
import { createSecretEncoder } from './secret.ts';
import { loadSecretMessages, SECRET_TYPE_URL } from './secret-messages.ts';
import { createSecretViews } from './secret-view.ts';

const messages = loadSecretMessages();
const { sotwResponse, deltaResponse } = loadDiscoveryMessages();
const newEncoder = () => createSecretEncoder(messages, Buffer.from('nothing'), () => {});
const encoder = newEncoder();

const spiffeStyle = { mode: 'spiffe', scopes: 'listed' } as const;
const plainStyle = { mode: 'plain', scopes: 'listed' } as const;
const trust = (bundle: Bundle, ...paths: readonly string[]): TrustedDomain => {
  const { trustDomain } = bundle;
  const accept = paths.map((path) => IdScope.parse(trustDomain.id + path, trustDomain));
  return { bundle, accept: accept.length === 0 ? undefined : accept };
};

/** What a client reads out of a SotW response that holds the secret. */
function read(secret: Resource) {
  const [any] = decode(sotwResponse, toBuffer(secret.sotw)).resources;
  expect(any.type_url).toBe(SECRET_TYPE_URL);
  return decode(messages.secret, any.value);
}

function decode(type: ReturnType<typeof messageType>, bytes: Uint8Array) {
  return type.toObject(type.decode(bytes), { bytes: Buffer, enums: String });
}

function readSpiffe(secret: Resource) {
  const { custom_validator_config: config, ...rest } = read(secret).validation_context;
  expect(Object.keys(rest)).toEqual(secret.isReducible ? ['match_subject_alt_names'] : []);
  expect(config.name).toBe('envoy.tls.cert_validator.spiffe');
  const { trust_domains: list } = decode(messages.spiffeValidator, config.typed_config.value);
  return list.map((one: { name: string; trust_bundle: { inline_bytes: Buffer } }) => [
    one.name,
    one.trust_bundle.inline_bytes.toString(),
  ]);
}

const readDomains = (secret: Resource): string[] =>
  readSpiffe(secret).map(([name]: [string]) => name);

const pem = (...texts: string[]): string =>
  texts
    .map((text) => Buffer.from(text).toString('base64'))
    .map((base64) => `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`)
    .join('');

describe('certificates', () => {
  it('are inline PEM, leaf first, with the PKCS#8 key that belongs to it (SDS-15)', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const der = privateKey.export({ type: 'pkcs8', format: 'der' });
    const secret = encoder.certificate('default', textIdentity('/web', 1, { privateKey: der }));
    expect(read(secret)).toEqual({
      name: 'default',
      tls_certificate: {
        certificate_chain: { inline_bytes: Buffer.from(pem('leaf /web 1', 'intermediate')) },
        private_key: {
          inline_bytes: Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
        },
      },
    });
    expect(secret.kind).toBe('tls_certificate');
  });

  it('are the same resource in delta, with name and version', () => {
    const secret = encoder.certificate('default', textIdentity('/web'));
    const [resource] = decode(deltaResponse, toBuffer(secret.delta)).resources;
    expect(resource).toMatchObject({ name: 'default', version: secret.version });
    expect(resource.resource).toEqual(decode(sotwResponse, toBuffer(secret.sotw)).resources[0]);
  });

  it('carry no TTL and nothing but what is served (SDS-14)', () => {
    const secret = encoder.certificate('default', textIdentity('/web'));
    const [resource] = decode(deltaResponse, toBuffer(secret.delta)).resources;
    expect(Object.keys(resource).sort()).toEqual(['name', 'resource', 'version']);
  });
});

describe('versions', () => {
  it('belong to the content, not to the stream or the process (SDS-6)', () => {
    const one = encoder.certificate('default', textIdentity('/web', 1));
    const same = newEncoder().certificate('default', textIdentity('/web', 1));
    const other = encoder.certificate('default', textIdentity('/web', 2));
    expect(one.version).toMatch(/^[0-9a-f]{32}$/u);
    expect(same.version).toBe(one.version);
    expect(other.version).not.toBe(one.version);
  });

  it('do not change with the order in which federated bundles came', () => {
    const a = textBundle('a.test', ['a']);
    const b = textBundle('b.test', ['b']);
    const c = textBundle('c.test', ['c']);
    const viewOf = createSecretViews(encoder, defaultSdsNames);
    const all = (list: readonly Bundle[]) =>
      viewOf(textUpdate([textIdentity('/web')], list), 'spiffe').resolve('ALL', 0, false);
    expect(all([a, c, b])).toEqual(all([a, b, c]));
    expect(all([a, c, b])).not.toEqual(all([a, b]));
  });

  it('are made once per content, whoever asks', () => {
    const identity = textIdentity('/web');
    const a = textBundle('a.test', ['ca a']);
    const b = textBundle('b.test', ['ca b']);
    expect(encoder.certificate('default', identity)).toBe(encoder.certificate('default', identity));
    expect(encoder.validation('ALL', spiffeStyle, [trust(a), trust(b)])).toBe(
      encoder.validation('ALL', spiffeStyle, [trust(a), trust(b)]),
    );
    expect(encoder.validation('ALL', spiffeStyle, [trust(a)])).not.toBe(
      encoder.validation('ALL', spiffeStyle, [trust(a), trust(b)]),
    );
  });
});

describe('validation contexts for the SPIFFE validator', () => {
  const a = textBundle('a.test', ['ca a1', 'ca a2']);
  const b = textBundle('b.test', ['ca b']);
  const empty = textBundle('c.test', []);

  it('keep trust domains apart, each once, by bare name (SDS-16)', () => {
    expect(readSpiffe(encoder.validation('ALL', spiffeStyle, [trust(a), trust(b)]))).toEqual([
      ['a.test', pem('ca a1', 'ca a2')],
      ['b.test', pem('ca b')],
    ]);
  });

  it('leave a trust domain without X.509 authorities out (SDS-17)', () => {
    expect(
      readSpiffe(encoder.validation('ALL', spiffeStyle, [trust(a), trust(empty), trust(b)])),
    ).toEqual([
      ['a.test', pem('ca a1', 'ca a2')],
      ['b.test', pem('ca b')],
    ]);
  });

  it('carry no CRL, since not every authority has one (SDS-19)', () => {
    const secret = encoder.validation('ALL', spiffeStyle, [trust(a), trust(b)]);
    expect(Object.keys(read(secret).validation_context)).toEqual(['custom_validator_config']);
    expect(toBuffer(secret.sotw).toString('latin1')).not.toContain('X509 CRL');
  });

  it('hold a CA that matches nothing where only such a trust domain is named (SDS-17)', () => {
    expect(readSpiffe(encoder.validation('spiffe://c.test', spiffeStyle, [trust(empty)]))).toEqual([
      ['c.test', pem('nothing')],
    ]);
  });
});

describe('plain validation contexts', () => {
  const a = textBundle('a.test', ['ca a1', 'ca a2']);
  const b = textBundle('b.test', ['ca b']);
  const plain = (trustDomain: string, ...authorities: string[]) => ({
    trusted_ca: { inline_bytes: Buffer.from(pem(...authorities)) },
    match_typed_subject_alt_names: [
      { san_type: 'URI', matcher: { prefix: `spiffe://${trustDomain}/` } },
    ],
  });

  it('hold the authorities of one trust domain to its IDs (SDS-18)', () => {
    const secret = encoder.validation('spiffe://b.test', plainStyle, [trust(b)]);
    expect(read(secret).validation_context).toEqual(plain('b.test', 'ca b'));
  });

  it('never pool trust domains: ALL is the own one (SDS-18)', () => {
    const secret = encoder.validation('ALL', plainStyle, [trust(a), trust(b)]);
    expect(read(secret).validation_context).toEqual(plain('a.test', 'ca a1', 'ca a2'));
  });

  it('hold a CA that matches nothing for a trust domain without authorities', () => {
    const secret = encoder.validation('ROOTCA', plainStyle, [trust(textBundle('a.test', []))]);
    expect(read(secret).validation_context).toEqual(plain('a.test', 'nothing'));
  });
});

describe('validation contexts of a trust domain that is accepted in part', () => {
  const a = textBundle('a.test', ['ca a']);
  const b = textBundle('b.test', ['ca b']);
  const c = textBundle('c.test', ['ca c']);
  const listed = (secret: Resource) => {
    const context = read(secret).validation_context;
    expect(context.match_typed_subject_alt_names).toBeUndefined();
    return context.match_subject_alt_names;
  };
  const payments = [
    { exact: 'spiffe://b.test/payments' },
    { prefix: 'spiffe://b.test/payments/' },
    { exact: 'spiffe://b.test/ledger' },
  ];
  const part = trust(b, '/payments/**', '/ledger');
  const withheld = { mode: 'spiffe', scopes: 'withheld' } as const;

  it('list exactly what is accepted', () => {
    const secret = encoder.validation('spiffe://b.test', spiffeStyle, [part]);
    expect(listed(secret)).toEqual(payments);
    expect(secret.isReducible).toBe(true);
  });

  it('list all of every other trust domain beside it', () => {
    const secret = encoder.validation('ALL', spiffeStyle, [trust(a), part, trust(c)]);
    expect(listed(secret)).toEqual([
      { prefix: 'spiffe://a.test/' },
      ...payments,
      { prefix: 'spiffe://c.test/' },
    ]);
  });

  it('list nothing for contexts without it, or once it has no authority (SDS-17)', () => {
    const gone = trust(textBundle('b.test', []), '/payments/**');
    for (const domains of [[trust(a)], [trust(a), trust(c)], [trust(a), gone]] as const) {
      const secret = encoder.validation('ALL', spiffeStyle, domains);
      expect([secret.isReducible, listed(secret)]).toEqual([false, undefined]);
    }
  });

  it('list what is accepted in plain mode too, in place of the whole domain', () => {
    const secret = encoder.validation('spiffe://b.test', plainStyle, [part]);
    expect(read(secret).validation_context).toEqual({
      trusted_ca: { inline_bytes: Buffer.from(pem('ca b')) },
      match_subject_alt_names: payments,
    });
  });

  it('are made without it for a client that refuses the list', () => {
    const all = encoder.validation('ALL', withheld, [trust(a), part, trust(c)]);
    expect(readDomains(all)).toEqual(['a.test', 'c.test']);
    const alone = encoder.validation('spiffe://b.test', withheld, [part]);
    expect(readSpiffe(alone)).toEqual([['b.test', pem('nothing')]]);
    expect([all.isReducible, alone.isReducible]).toEqual([false, false]);
  });

  it('have another version with other scopes, and the same with equal ones', () => {
    const version = (...paths: readonly string[]) =>
      newEncoder().validation('ALL', spiffeStyle, [trust(a), trust(b, ...paths)]).version;
    expect(version('/x')).toBe(version('/x'));
    expect(new Set([version(), version('/x'), version('/x/**'), version('/x', '/y')]).size).toBe(4);
    const memo = newEncoder();
    const of = (...paths: readonly string[]) =>
      memo.validation('ALL', spiffeStyle, [trust(a), trust(b, ...paths)]);
    expect(of('/x')).toBe(of('/x'));
    expect(of('/y').version).toBe(version('/y'));
  });

  it('are seen without it by a client that refused a list', () => {
    const viewOf = createSecretViews(encoder, defaultSdsNames);
    const { accept = [] } = part;
    const update = textUpdate([textIdentity('/web')], [a, b], new Map([['b.test', accept]]));
    const shown = (isDeclined: boolean) => {
      const found = viewOf(update, 'spiffe').resolve('ALL', 0, isDeclined);
      return typeof found === 'object' && [readDomains(found), found.isReducible];
    };
    expect(shown(false)).toEqual([['a.test', 'b.test'], true]);
    expect(shown(true)).toEqual([['a.test'], false]);
  });
});

describe('views', () => {
  const viewOf = createSecretViews(encoder, defaultSdsNames);

  it('never show an expired SVID (SDS-20)', () => {
    const view = viewOf(textUpdate([textIdentity('/web', 1, { expiresAt: 1000 })]), 'spiffe');
    expect(view.resolve('default', 999, false)).toMatchObject({ name: 'default' });
    expect(view.resolve('default', 1000, false)).toBe('withheld');
    expect(view.resolve('ROOTCA', 1000, false)).toMatchObject({ name: 'ROOTCA' });
  });

  it('are shared by all streams that see the same update the same way', () => {
    const update = textUpdate([textIdentity('/web')]);
    expect(viewOf(update, 'spiffe')).toBe(viewOf(update, 'spiffe'));
    expect(viewOf(update, 'plain')).not.toBe(viewOf(update, 'spiffe'));
  });

  it('take back a bundle with one that nothing matches, and no certificate', () => {
    const view = viewOf(textUpdate([]), 'spiffe');
    const gone = view.withdrawal('spiffe://b.test');
    expect(gone && readSpiffe(gone)).toEqual([['b.test', pem('nothing')]]);
    const own = view.withdrawal('ALL');
    expect(own && readSpiffe(own)).toEqual([['a.test', pem('nothing')]]);
    expect(view.withdrawal('default')).toBeUndefined();
    expect(view.withdrawal('spiffe://a.test/web')).toBeUndefined();
  });
});
