import protobuf from 'protobufjs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  comparedFields,
  type EnvoyMessages,
  loadEnvoyMessages,
} from '../../test/oracles/envoy-messages.ts';
import { toBuffer } from '../wire/index.ts';
import { loadDiscoveryMessages } from './discovery-messages.ts';
import { parseDeltaRequest, parseSotwRequest } from './discovery-request.ts';
import { createResponseEncoder } from './discovery-response.ts';
import { sealResource } from './resource.ts';

// Envoy's own definitions, as grpc-js-xds carries them, against ours.
const DISCOVERY = 'envoy.service.discovery.v3';
const TYPE_URL = 'type.googleapis.com/test.Thing';
const RESOURCE_URL = `type.googleapis.com/${DISCOVERY}.Resource`;
const messages = loadDiscoveryMessages();
const responses = createResponseEncoder(messages);
let envoy: EnvoyMessages;

beforeAll(async () => {
  envoy = await loadEnvoyMessages(['envoy/service/discovery/v3/discovery.proto']);
});

const { Long } = protobuf.util;
const value = { parts: [Buffer.from('the '), Buffer.from('bytes')], bytes: 9 };
const seal = (name: string, ttlMs?: number) =>
  sealResource(messages, TYPE_URL, value, {
    name,
    kind: '',
    version: 'v1',
    isReducible: false,
    ttlMs,
  });
const envelope = {
  typeUrl: TYPE_URL,
  nonce: '7',
  resources: [],
  removed: [],
  heartbeats: [],
};
const typed = { type_url: TYPE_URL, value: Buffer.from('the bytes') };

describe("Envoy's definitions", () => {
  it('read our SotW responses: resources bare, with a TTL in a wrapper', () => {
    const resources = [seal('for ever'), seal('for a while', 90_500)];
    const bytes = responses.sotw({ ...envelope, resources });
    const response = envoy.read(`${DISCOVERY}.DiscoveryResponse`, bytes);
    expect(response).toMatchObject({ nonce: '7', type_url: TYPE_URL });
    const [bare, wrapped] = response['resources'];
    expect(bare).toEqual(typed);
    expect(wrapped.type_url).toBe(RESOURCE_URL);
    expect(envoy.read(`${DISCOVERY}.Resource`, wrapped.value)).toEqual({
      name: 'for a while',
      version: 'v1',
      resource: typed,
      ttl: { seconds: new Long(90, 0, false), nanos: 500_000_000 },
    });
  });

  it('read our delta responses, TTL, removals and all', () => {
    const resources = [seal('for a while', 1500)];
    const bytes = responses.delta({ ...envelope, resources, removed: ['gone'] });
    expect(envoy.read(`${DISCOVERY}.DeltaDiscoveryResponse`, bytes)).toEqual({
      nonce: '7',
      type_url: TYPE_URL,
      removed_resources: ['gone'],
      resources: [
        {
          name: 'for a while',
          version: 'v1',
          resource: typed,
          ttl: { seconds: new Long(1, 0, false), nanos: 500_000_000 },
        },
      ],
    });
  });

  it('read our heartbeats as resources without a body', () => {
    const heartbeats = [{ name: 'n', version: 'v1', ttlMs: 2000 }];
    const beat = { name: 'n', version: 'v1', ttl: { seconds: new Long(2, 0, false) } };
    const delta = responses.delta({ ...envelope, heartbeats });
    expect(envoy.read(`${DISCOVERY}.DeltaDiscoveryResponse`, delta)).toMatchObject({
      resources: [beat],
    });
  });

  it('keep what is large in parts until it is written', () => {
    const parts = [Buffer.alloc(70_000, 'x')];
    const ref = { name: 'big', kind: '', version: 'v', isReducible: false };
    const big = sealResource(messages, TYPE_URL, { parts, bytes: 70_000 }, ref);
    expect(big.sotw.parts).toContain(parts[0]);
    expect(seal('small').sotw.parts).toHaveLength(1);
    expect(toBuffer(big.delta)).toHaveLength(big.delta.bytes);
  });

  it('write SotW requests that we read, fields that ours lack included', () => {
    const bytes = envoy.write(`${DISCOVERY}.DiscoveryRequest`, {
      version_info: 'v',
      node: {
        id: 'envoy-1',
        metadata: { fields: { disable_spiffe_cert_validation: { stringValue: 'true' } } },
        locality: { zone: 'z' },
        user_agent_name: 'envoy',
        user_agent_build_version: { version: { major_number: 1, minor_number: 40 } },
        extensions: [{ name: 'envoy.filters.http.router', category: 'envoy.filters.http' }],
        listening_addresses: [{ pipe: { path: '/x' } }],
        dynamic_parameters: { x: { params: { y: 'z' } } },
      },
      resource_names: ['default', 'ALL'],
      resource_locators: [{ name: 'x' }],
      type_url: TYPE_URL,
      response_nonce: '3',
      error_detail: { code: 13, message: 'no', details: [{ type_url: 'x', value: 'eA==' }] },
    });
    expect(parseSotwRequest(messages.sotwRequest, bytes, 'XDS')).toMatchObject({
      names: ['default', 'ALL'],
      versionInfo: 'v',
      nonce: '3',
      refusal: 'no',
      typeUrl: TYPE_URL,
      node: { id: 'envoy-1', version: [1, 40] },
    });
    const { node } = parseSotwRequest(messages.sotwRequest, bytes, 'XDS');
    expect(node?.metadata('disable_spiffe_cert_validation')).toEqual({ stringValue: 'true' });
    expect(node?.metadata('other')).toBeUndefined();
  });

  it('write delta requests that we read', () => {
    const bytes = envoy.write(`${DISCOVERY}.DeltaDiscoveryRequest`, {
      type_url: TYPE_URL,
      resource_names_subscribe: ['a', 'b'],
      resource_names_unsubscribe: ['c'],
      initial_resource_versions: { a: '1' },
      response_nonce: '4',
    });
    expect(parseDeltaRequest(messages.deltaRequest, bytes, 'XDS')).toEqual({
      typeUrl: TYPE_URL,
      subscribe: ['a', 'b'],
      unsubscribe: ['c'],
      initialVersions: new Map([['a', '1']]),
      nonce: '4',
      refusal: undefined,
      node: undefined,
    });
  });

  it('have every field of ours, with the same number and type', () => {
    const fields = comparedFields(envoy, Object.values(messages));
    expect(fields.length).toBeGreaterThan(10);
    for (const { ours, theirs } of fields) expect(theirs).toEqual(ours);
  });
});
