import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type BootstrapFlags,
  parseBootstrapFlags,
  writeBootstrapJson,
  writeBootstrapYaml,
} from '../../src/envoy/index.ts';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { validateBootstrap } from './launch-envoy.ts';

/** Not at this place on every machine. */
const hostAuthorities = '/etc/ssl/certs/ca-certificates.crt';

/** What Envoy says against configurations that are made by these flags: flags and complaint of each that it does not take. */
export async function complaintsAbout(
  cases: readonly BootstrapFlags[],
  folder: string,
): Promise<readonly string[]> {
  const authorities = path.join(folder, 'authorities.pem');
  const { der } = await makeAuthority({ uris: ['spiffe://example.org'] });
  await writeFile(authorities, encodePem('CERTIFICATE', der));
  const halves = [0, 1].map(async (half) => {
    const place = path.join(folder, `half-${half}`);
    await mkdir(place);
    const complaints: string[] = [];
    for (const [at, flags] of cases.entries()) {
      if (at % 2 !== half) continue;
      const options = parseBootstrapFlags(flags);
      // Each form is shown by every other one.
      const text = at % 4 < 2 ? writeBootstrapYaml(options, ['test']) : writeBootstrapJson(options);
      const own = text.replaceAll(hostAuthorities, authorities);
      const complaint = await validateBootstrap(own, place);
      if (complaint !== undefined) complaints.push(`${JSON.stringify(flags)}\n${complaint}`);
    }
    return complaints;
  });
  return (await Promise.all(halves)).flat();
}

/** A file with one public key, as login services publish them. */
export async function writeJwks(folder: string): Promise<string> {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const file = path.join(folder, 'jwks.json');
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'ES256' };
  await writeFile(file, JSON.stringify({ keys: [key] }));
  return file;
}
