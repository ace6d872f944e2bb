import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { X509Context, X509ContextSvid } from '../client/index.ts';
import { writeFileAtomic } from '../ops/index.ts';
import { encodePem, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { natsFileNames } from './nats-files.ts';

/** The texts of a nats-server's files, by name. */
type SvidTexts = ReadonlyMap<string, { readonly text: string; readonly mode: number }>;

/**
 * What a nats-server presents and whom it believes, of what the Workload API says.
 * @param spiffeId which of several SVIDs; undefined: the default one
 * @throws TrustplaneError ERR_NATS_IDENTITY where there is none of this ID
 */
export function buildSvidFiles(context: X509Context, spiffeId: SpiffeId | undefined): SvidTexts {
  const { svid, certificateChain, privateKey } = chooseSvid(context, spiffeId);
  const own = svid.spiffeId.trustDomain.name;
  const authoritiesOf = (names: readonly string[]): string =>
    pem(
      names.flatMap((name) => context.bundles.get(name)?.x509Authorities ?? []),
      ({ certificate }) => certificate,
    );
  const foreign = [...context.bundles.keys()].filter((name) => name !== own).toSorted();
  const { identity, authorities, ownAuthorities } = natsFileNames;
  const chain = pem(certificateChain, (der) => der);
  return new Map([
    [authorities, { text: authoritiesOf([own, ...foreign]), mode: 0o644 }],
    [ownAuthorities, { text: authoritiesOf([own]), mode: 0o644 }],
    [identity, { text: `${chain}${encodePem('PRIVATE KEY', privateKey)}`, mode: 0o600 }],
  ]);
}

/**
 * Replaces those files whose content differs; each is whole at any instant. Returns whether any did.
 * @throws TrustplaneError ERR_FILE_WRITE
 */
export async function writeSvidFiles(folder: string, texts: SvidTexts): Promise<boolean> {
  let hasChanged = false;
  for (const [name, { text, mode }] of texts) {
    const file = path.join(folder, name);
    const before = await readFile(file, 'utf8').catch(() => undefined);
    if (before === text) continue;
    await writeFileAtomic(file, Buffer.from(text), { mode });
    hasChanged = true;
  }
  return hasChanged;
}

function chooseSvid({ svids }: X509Context, spiffeId: SpiffeId | undefined): X509ContextSvid {
  const chosen = svids.find(({ svid }) => spiffeId === undefined || svid.spiffeId.equals(spiffeId));
  if (chosen !== undefined) return chosen;
  const got = svids.map(({ svid }) => svid.spiffeId.toString()).join(', ');
  throw new TrustplaneError(
    'ERR_NATS_IDENTITY',
    `the Workload API gives no SVID of ${spiffeId?.toString() ?? 'any ID'}; it gives ${got}`,
  );
}

function pem<T>(items: readonly T[], derOf: (item: T) => Uint8Array): string {
  return items.map((item) => encodePem('CERTIFICATE', derOf(item))).join('');
}
