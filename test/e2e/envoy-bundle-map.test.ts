import { renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EndpointPlace } from '../fakes/endpoint-place.ts';
import { bundleOf, makeAuthority, type TestCertificate } from '../fakes/test-certificates.ts';
import { asPem, makeIdentity } from '../fakes/tls-place.ts';
import { eventually } from '../programs/eventually.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from '../programs/launch-envoy.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
const authorityOf = (name: string): Promise<TestCertificate> =>
  makeAuthority({ uris: [`spiffe://${name}`], ...validity });

let folder: RunFolder;
let place: EndpointPlace;
let own: TestCertificate;
let envoy: RunningEnvoy;

const at = (name: string): string => path.join(folder.path, name);

/** As a script does that has the map fetched, and put in the place of the last one. */
async function deliverMap(): Promise<void> {
  writeFileSync(at('map.new'), (await place.ask('/envoy')).body);
  renameSync(at('map.new'), at('map.json'));
}

/** What Envoy answers to a workload of a trust domain. */
async function call(issuer: TestCertificate, spiffeId: string): Promise<number | undefined> {
  const { cert, key } = asPem(await makeIdentity({ issuer, uris: [spiffeId], ...validity }));
  return await new Promise((resolve, reject) => {
    const socket = connect({ path: at('in.sock'), cert, key, rejectUnauthorized: false });
    socket.on('error', reject);
    request({ createConnection: () => socket, path: '/', headers: { host: 'x' } })
      .on('response', (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

beforeAll(async () => {
  folder = createRunFolder();
  place = await EndpointPlace.create();
  own = await authorityOf('a.test');
  await place.serve();
  place.trust.set(bundleOf('a.test', own));
  await deliverMap();
  const uris = ['spiffe://a.test/server'];
  const { cert, key } = asPem(await makeIdentity({ issuer: own, uris, ...validity }));
  writeFileSync(at('cert.pem'), cert);
  writeFileSync(at('key.pem'), key);
  envoy = await launchEnvoy({ bootstrap: bootstrap(), folder: folder.path, name: 'map' });
  await envoy.waitReady();
});

afterAll(async () => {
  await envoy.stop();
  await place.close();
  await folder.remove();
});

it('is taken by Envoy, which trusts each domain for its own IDs, and no other (MAP-5)', async () => {
  const b = await authorityOf('b.test');
  await expect(call(b, 'spiffe://b.test/web')).rejects.toThrow(/alert|ECONNRESET|socket hang up/);
  expect(await call(own, 'spiffe://a.test/web')).toBe(200);
  // The keys of other kinds are what Envoy would refuse the whole map for.
  const { jwtAuthorities } = await tokenKeys();
  place.trust.set(
    { ...bundleOf('a.test', own), jwtAuthorities },
    { ...bundleOf('b.test', b), jwtAuthorities },
    { ...bundleOf('tokens.test'), jwtAuthorities },
  );
  await deliverMap();
  await eventually('b.test is trusted', async () => (await call(b, 'spiffe://b.test/web')) === 200);
  expect(await call(own, 'spiffe://a.test/web')).toBe(200);
  await expect(call(b, 'spiffe://a.test/web')).rejects.toThrow(/alert|ECONNRESET|socket hang up/);
});

it('is taken by Envoy with a thousand trust domains (MAP-5)', async () => {
  const last = await authorityOf('d999.test');
  const names = Array.from({ length: 999 }, (_, index) => `d${index}.test`);
  place.trust.set(
    bundleOf('a.test', own),
    ...names.map((name) => bundleOf(name, own)),
    bundleOf('d999.test', last),
  );
  await deliverMap();
  const answered = await eventually('the last one is trusted', () =>
    call(last, 'spiffe://d999.test/web'),
  );
  expect(answered).toBe(200);
});

it('would be refused whole with one key of another kind, and the last good map kept', async () => {
  writeFileSync(at('map.new'), (await place.ask('/map')).body.replace('"x509-svid"', '"jwt-svid"'));
  renameSync(at('map.new'), at('map.json'));
  const why = "missing or invalid 'use' field";
  await eventually('Envoy refuses it', () => envoy.lines.some((line) => line.includes(why)));
  expect(await call(own, 'spiffe://a.test/web')).toBe(200);
});

async function tokenKeys() {
  const { subtle } = globalThis.crypto;
  const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ]);
  const publicKey = new Uint8Array(await subtle.exportKey('spki', pair.publicKey));
  return { jwtAuthorities: [{ keyId: 'k', publicKey, expiresAt: undefined, tainted: false }] };
}

function bootstrap(): string {
  const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';
  const http = 'type.googleapis.com/envoy.extensions.filters';
  return `
admin: { address: { pipe: { path: ${adminSocketOf(folder.path, 'map')} } } }
static_resources:
  listeners:
    - name: inbound
      address: { pipe: { path: ${at('in.sock')} } }
      filter_chains:
        - transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": ${tls}.DownstreamTlsContext
              require_client_certificate: true
              common_tls_context:
                tls_certificates:
                  - certificate_chain: { filename: ${at('cert.pem')} }
                    private_key: { filename: ${at('key.pem')} }
                validation_context:
                  custom_validator_config:
                    name: envoy.tls.cert_validator.spiffe
                    typed_config:
                      "@type": ${tls}.SPIFFECertValidatorConfig
                      trust_bundles:
                        filename: ${at('map.json')}
                        watched_directory: { path: ${folder.path} }
          filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": ${http}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: inbound
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: / }, direct_response: { status: 200 } }]
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": ${http}.http.router.v3.Router }
`;
}
