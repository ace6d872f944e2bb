import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { X509Context } from '../client/index.ts';
import { writeFileAtomic } from '../ops/index.ts';
import { type Bundle, encodePem } from '../spiffe/index.ts';

/**
 * Writes the SVIDs as `spire-agent api fetch x509 -write` names them: svid.N.pem, svid.N.key (0600),
 * bundle.N.pem, federated_bundle.N.M.pem. Returns the paths.
 */
export async function writeX509Files(
  dir: string,
  context: X509Context,
): Promise<readonly string[]> {
  await mkdir(dir, { recursive: true });
  const written: string[] = [];
  const write = async (name: string, text: string, mode: number): Promise<void> => {
    const file = path.join(dir, name);
    await writeFileAtomic(file, Buffer.from(text), { mode });
    written.push(file);
  };
  for (const [index, { svid, certificateChain, privateKey }] of context.svids.entries()) {
    const own = svid.spiffeId.trustDomain.name;
    const federated = [...context.bundles.values()].filter(
      ({ trustDomain }) => trustDomain.name !== own,
    );
    await write(
      `svid.${index}.pem`,
      certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
      0o644,
    );
    await write(`svid.${index}.key`, encodePem('PRIVATE KEY', privateKey), 0o600);
    await write(`bundle.${index}.pem`, formatBundle(context.bundles.get(own)), 0o644);
    for (const [number, bundle] of federated.entries())
      await write(`federated_bundle.${index}.${number}.pem`, formatBundle(bundle), 0o644);
  }
  return written;
}

function formatBundle(bundle: Bundle | undefined): string {
  return (bundle?.x509Authorities ?? [])
    .map(({ certificate }) => encodePem('CERTIFICATE', certificate))
    .join('');
}
