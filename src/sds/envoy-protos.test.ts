import { beforeAll, describe, expect, it } from 'vitest';
import { textBundle, textIdentity } from '../../test/fakes/test-updates.ts';
import {
  comparedFields,
  type EnvoyMessages,
  loadEnvoyMessages,
} from '../../test/oracles/envoy-messages.ts';
import { loadDiscoveryMessages } from '../xds/discovery-messages.ts';
import { createResponseEncoder } from '../xds/discovery-response.ts';
import { createSecretEncoder } from './secret.ts';
import { loadSecretMessages, SECRET_TYPE_URL } from './secret-messages.ts';

// Envoy's own definitions, as grpc-js-xds carries them, against ours.
const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const DISCOVERY = 'envoy.service.discovery.v3';
const messages = loadSecretMessages();
const secrets = createSecretEncoder(messages, Buffer.from('nothing'), () => {});
const responses = createResponseEncoder(loadDiscoveryMessages());
const plainResponse = {
  typeUrl: SECRET_TYPE_URL,
  removed: [],
  heartbeats: [],
};
let envoy: EnvoyMessages;

beforeAll(async () => {
  envoy = await loadEnvoyMessages([
    'envoy/service/discovery/v3/discovery.proto',
    'envoy/extensions/transport_sockets/tls/v3/secret.proto',
    'envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto',
  ]);
});

const pem = (label: string, text: string) =>
  Buffer.from(
    `-----BEGIN ${label}-----\n${Buffer.from(text).toString('base64')}\n-----END ${label}-----\n`,
  );

describe("Envoy's definitions", () => {
  it('read our certificates in a SotW response', () => {
    const identity = textIdentity('/web', 1, { certificateChain: [Buffer.from('leaf')] });
    const secret = secrets.certificate('default', identity);
    const bytes = responses.sotw({ ...plainResponse, nonce: '7', resources: [secret] });
    const response = envoy.read(`${DISCOVERY}.DiscoveryResponse`, bytes);
    expect(response).toMatchObject({
      nonce: '7',
      version_info: secret.version,
      type_url: SECRET_TYPE_URL,
    });
    expect(response['resources']).toHaveLength(1);
    expect(response['resources'][0].type_url).toBe(SECRET_TYPE_URL);
    expect(envoy.read(`${TLS}.Secret`, response['resources'][0].value)).toEqual({
      name: 'default',
      type: 'tls_certificate',
      tls_certificate: {
        certificate_chain: { specifier: 'inline_bytes', inline_bytes: pem('CERTIFICATE', 'leaf') },
        private_key: {
          specifier: 'inline_bytes',
          inline_bytes: pem('PRIVATE KEY', 'key /web 1'),
        },
      },
    });
  });

  it('read our validation contexts in a delta response', () => {
    const a = textBundle('a.test', ['a']);
    const spiffe = secrets.validation('ALL', { mode: 'spiffe', scopes: 'listed' }, [
      { bundle: a, accept: undefined },
    ]);
    const plain = secrets.validation('ROOTCA', { mode: 'plain', scopes: 'listed' }, [
      { bundle: a, accept: undefined },
    ]);
    const bytes = responses.delta({
      ...plainResponse,
      nonce: '1',
      resources: [spiffe, plain],
      removed: ['gone'],
    });
    const response = envoy.read(`${DISCOVERY}.DeltaDiscoveryResponse`, bytes);
    expect(response).toMatchObject({
      nonce: '1',
      type_url: SECRET_TYPE_URL,
      removed_resources: ['gone'],
      resources: [
        { name: 'ALL', version: spiffe.version },
        { name: 'ROOTCA', version: plain.version },
      ],
    });
    const [first, second] = response['resources'];
    const { custom_validator_config: config } = envoy.read(`${TLS}.Secret`, first.resource.value)[
      'validation_context'
    ];
    expect(config.name).toBe('envoy.tls.cert_validator.spiffe');
    expect(config.typed_config.type_url).toBe(
      `type.googleapis.com/${TLS}.SPIFFECertValidatorConfig`,
    );
    expect(envoy.read(`${TLS}.SPIFFECertValidatorConfig`, config.typed_config.value)).toEqual({
      trust_domains: [
        {
          name: 'a.test',
          trust_bundle: { specifier: 'inline_bytes', inline_bytes: pem('CERTIFICATE', 'a') },
        },
      ],
    });
    expect(envoy.read(`${TLS}.Secret`, second.resource.value)['validation_context']).toEqual({
      trusted_ca: { specifier: 'inline_bytes', inline_bytes: pem('CERTIFICATE', 'a') },
      match_typed_subject_alt_names: [
        { san_type: 'URI', matcher: { match_pattern: 'prefix', prefix: 'spiffe://a.test/' } },
      ],
    });
  });

  it('have every field of ours, with the same number and type', () => {
    const fields = comparedFields(envoy, Object.values(messages));
    expect(fields.length).toBeGreaterThan(10);
    for (const { ours, theirs } of fields) expect(theirs).toEqual(ours);
  });
});
