import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LaunchedServer } from '../../test/programs/launch-server.ts';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import type {
  AuthorityCommands,
  ServerCommands,
} from '../../test/programs/spire/server-commands.ts';

/** How a bundle endpoint shows who it is. */
export type Profile = 'https_spiffe' | 'https_web';

/** The keys of a bundle: authorities as base64 of their DER, JWT keys by their IDs. */
export interface BundleKeys {
  readonly x509: readonly string[];
  readonly jwt: readonly string[];
}

/** A trust domain as its administrator sees it, by the commands of whoever wrote its server. */
export interface FederatedSide {
  readonly trustDomain: string;
  readonly authorities: AuthorityCommands;
  /** The own bundle, as a SPIFFE bundle document. */
  document(): Promise<string>;
  /** Of another trust domain's bundle, as it is here; throws where there is none. */
  keysOf(trustDomain: string): Promise<BundleKeys>;
  setBundle(trustDomain: string, document: string): Promise<void>;
  /** Tells the server where the other's bundle is served; with https_spiffe also what it is now. */
  relate(other: FederatedSide, profile: Profile, url: string): Promise<void>;
  /** Ends that, with the bundle. */
  unrelate(trustDomain: string): Promise<void>;
  /** Creates the entry of a workload of this user. */
  createEntry(spiffeId: string, federatesWith: string): Promise<void>;
}

export function readKeys(document: string): BundleKeys {
  const { keys }: { keys: { use: string; kid?: string; x5c?: readonly string[] }[] } =
    JSON.parse(document);
  return {
    x509: keys.flatMap(({ use, x5c = [] }) => (use === 'x509-svid' ? x5c : [])),
    jwt: keys.flatMap(({ use, kid = '' }) => (use === 'jwt-svid' ? [kid] : [])),
  };
}

const selector = `unix:uid:${process.getuid?.() ?? 0}`;

/** A `trustplane up`. @param webAuthorities PEM file of the authorities that vouch for web endpoints */
export function ourSide(
  trustDomain: string,
  server: LaunchedServer,
  folder: string,
  webAuthorities: string,
): FederatedSide {
  const run = async (...args: readonly string[]): Promise<string> => {
    const finished = await runTrustplane(...args, '--admin-socket', server.adminSocket);
    if (finished.code === 0) return finished.stdout;
    throw new Error(`trustplane ${args.join(' ')}: ${finished.stderr}`.trim());
  };
  const format = ['--format', 'spiffe'];
  const document = async () => await run('bundle', 'show', ...format);
  return {
    trustDomain,
    authorities: ourAuthorities(run),
    document,
    keysOf: async (name) => readKeys(await run('bundle', 'list', '--id', name, ...format)),
    async setBundle(name, text) {
      const file = path.join(folder, 'set.json');
      await writeFile(file, text);
      await run('bundle', 'set', '--id', name, ...format, '--path', file);
    },
    async relate(other, profile, url) {
      const target = ['--trust-domain', other.trustDomain, '--bundle-endpoint-url', url];
      const file = path.join(folder, `${other.trustDomain}.json`);
      await writeFile(file, await other.document());
      const id = ['--endpoint-spiffe-id', `spiffe://${other.trustDomain}/spire/server`];
      const now = ['--trust-domain-bundle-format', 'spiffe', '--trust-domain-bundle-path', file];
      const believed =
        profile === 'https_web' ? ['--web-ca-file', webAuthorities] : [...id, ...now];
      const how = ['--bundle-endpoint-profile', profile, ...believed];
      await run('federation', 'create', ...target, ...how);
    },
    unrelate: async (name) => void (await run('federation', 'delete', name)),
    async createEntry(spiffeId, federatesWith) {
      const what = ['--spiffe-id', spiffeId, '--selector', selector];
      await run('entry', 'create', ...what, '--federates-with', federatesWith);
    },
  };
}

function ourAuthorities(run: (...args: readonly string[]) => Promise<string>): AuthorityCommands {
  const ask = async (...args: readonly string[]): Promise<string> =>
    await run('authority', 'x509', ...args, '--output', 'json');
  return {
    async prepare() {
      const { authorityId }: { authorityId: string } = JSON.parse(await ask('prepare'));
      return authorityId;
    },
    async activate(authorityId) {
      const { authorities }: { authorities: { slot: string; authorityId: string }[] } = JSON.parse(
        await ask('show'),
      );
      const old = authorities.find(({ slot }) => slot === 'active');
      await ask('activate', authorityId, '--wait', '50s');
      return old?.authorityId ?? '';
    },
    taint: async (authorityId) => void (await ask('taint', authorityId)),
    revoke: async (authorityId) => void (await ask('revoke', authorityId)),
  };
}

/** A SPIRE server; it believes web endpoints by the authorities it was started with. */
export function spireSide(
  trustDomain: string,
  admin: ServerCommands,
  folder: string,
): FederatedSide {
  const document = async () => await admin.run('bundle', 'show', '-format', 'spiffe');
  return {
    trustDomain,
    authorities: admin.x509,
    document,
    async keysOf(name) {
      const which = ['-id', `spiffe://${name}`, '-format', 'spiffe'];
      return readKeys(await admin.run('bundle', 'list', ...which));
    },
    async setBundle(name, text) {
      const file = path.join(folder, 'set.json');
      await writeFile(file, text);
      const which = ['-id', `spiffe://${name}`, '-format', 'spiffe'];
      await admin.run('bundle', 'set', ...which, '-path', file);
    },
    async relate(other, profile, url) {
      const target = ['-trustDomain', other.trustDomain, '-bundleEndpointURL', url];
      const file = path.join(folder, `${other.trustDomain}.json`);
      await writeFile(file, await other.document());
      const id = ['-endpointSpiffeID', `spiffe://${other.trustDomain}/spire/server`];
      const now = ['-trustDomainBundleFormat', 'spiffe', '-trustDomainBundlePath', file];
      const believed = profile === 'https_web' ? [] : [...id, ...now];
      const how = ['-bundleEndpointProfile', profile, ...believed];
      await admin.run('federation', 'create', ...target, ...how);
    },
    async unrelate(name) {
      await admin.run('federation', 'delete', '-id', name);
      const which = ['-id', `spiffe://${name}`];
      await admin.run('bundle', 'delete', ...which, '-mode', 'dissociate');
    },
    async createEntry(spiffeId, federatesWith) {
      const whose = ['-selector', selector, '-federatesWith', `spiffe://${federatesWith}`];
      await admin.createEntry(spiffeId, `spiffe://${trustDomain}/node`, ...whose);
    },
  };
}
