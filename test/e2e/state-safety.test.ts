import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { launchNatsServer } from '../programs/launch-nats-server.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const PARENT = ['--parent-id', 'spiffe://example.org/node'] as const;

/** A folder for a server, which ends with the test. */
function place() {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const at = (...parts: readonly string[]): string => path.join(folder.path, ...parts);
  const launch = async (config = '{}'): Promise<LaunchedServer> => {
    const server = await launchServer(folder.path, { config });
    onTestFinished(async () => void (await server.stop()));
    return server;
  };
  return { at, launch, folder: folder.path };
}

async function makeEntry(server: LaunchedServer, name: string): Promise<string> {
  const { id } = await server.ask(
    'entry',
    'create',
    '--spiffe-id',
    `spiffe://example.org/${name}`,
    '--selector',
    'unix:uid:1',
    ...PARENT,
  );
  return String(id);
}

async function namesOf(server: LaunchedServer): Promise<readonly string[]> {
  const { entries } = await server.ask('entry', 'list');
  return entries
    .map(({ spiffeId }: { readonly spiffeId: string }) => path.basename(spiffeId))
    .sort();
}

async function sequenceOf(server: LaunchedServer): Promise<number> {
  const { code, stdout } = await runTrustplane(
    'bundle',
    'show',
    '--format',
    'spiffe',
    '--admin-socket',
    server.adminSocket,
  );
  expect(code).toBe(0);
  return Number(JSON.parse(stdout).spiffe_sequence);
}

/** Makes a version of policies that let one path be read. */
async function applyPolicy(server: LaunchedServer, file: string, target: string): Promise<void> {
  writeFileSync(file, policyText('web', target));
  await server.ask('policy', 'apply', '-f', file, '--reason', `lets ${target} be read`);
}

/** All that is kept of policies, verified, with the files of each version. */
async function policiesOf(server: LaunchedServer): Promise<object> {
  const { versions, verified } = await server.ask('policy', 'history', '--verify');
  const shown = [];
  for (const { version } of versions)
    shown.push(await server.ask('policy', 'show', String(version)));
  return { verified, shown };
}

async function activeOf(server: LaunchedServer): Promise<string> {
  const { authorities } = await server.ask('authority', 'x509', 'show');
  return authorities.find(({ slot }: { readonly slot: string }) => slot === 'active').authorityId;
}

it('an old copy of the database is noticed, said, and gets back what must not go back', async () => {
  const { at, launch } = place();
  const first = await launch();
  const gone = await makeEntry(first, 'gone');
  await first.stop();
  copyFileSync(at('data', 'trustplane.db'), at('old.db'));
  const second = await launch();
  await second.ask('entry', 'delete', gone);
  await makeEntry(second, 'since');
  const { authorityId } = await second.ask('authority', 'x509', 'prepare');
  await second.ask('authority', 'x509', 'activate', authorityId, '--force');
  const sequence = await sequenceOf(second);
  await second.stop();
  rmSync(at('data', 'trustplane.db'));
  copyFileSync(at('old.db'), at('data', 'trustplane.db'));
  const third = await launch();
  const said = third.log.filter((line) =>
    line.includes('the store went back to an earlier revision'),
  );
  expect(said.map((line) => String(JSON.parse(line).bucket)).toSorted()).toEqual([
    'authorities',
    'entries',
    'revocations',
  ]);
  expect(await namesOf(third)).toEqual([]);
  expect(await activeOf(third)).toBe(authorityId);
  expect(await sequenceOf(third)).toBeGreaterThanOrEqual(sequence);
});

it('a journal that was changed is refused, and one that is gone is said to be', async () => {
  const { at, launch } = place();
  await (await launch()).stop();
  const file = at('data', 'facts.journal');
  const bytes = readFileSync(file);
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await expect(launch()).rejects.toThrow('ERR_JOURNAL_DAMAGED');
  rmSync(file);
  const second = await launch();
  expect(second.log.join('\n')).toContain('the journal of this server is gone');
});

it('a backup of a running server is restored elsewhere, with its keys or with new ones', async () => {
  const { at, launch } = place();
  const server = await launch();
  await makeEntry(server, 'web');
  const active = await activeOf(server);
  await applyPolicy(server, at('web.yaml'), '/a');
  await applyPolicy(server, at('web.yaml'), '/b');
  await server.ask('policy', 'rollback', '1', '--reason', 'back');
  const policies = await policiesOf(server);
  expect(policies).toMatchObject({ verified: true, shown: [{ version: { restores: 1 } }, {}, {}] });
  const sequence = await sequenceOf(server);
  writeFileSync(at('passphrase'), 'a passphrase of the backup\n');
  const plain = await server.ask('backup', '--file', at('plain.backup'));
  expect(plain).toMatchObject({ keys: 0, buckets: { entries: 1 } });
  const keyed = ['--include-keys', '--passphrase-file', at('passphrase')];
  expect(await server.ask('backup', '--file', at('keyed.backup'), ...keyed)).toMatchObject({
    keys: 2,
  });
  const again = await runTrustplane(
    'backup',
    '--file',
    at('plain.backup'),
    '--admin-socket',
    server.adminSocket,
  );
  expect([again.code, again.stderr]).toEqual([4, expect.stringContaining('ERR_STORE_NOT_EMPTY')]);
  const busy = await runTrustplane(
    'restore',
    '--file',
    at('plain.backup'),
    '--data-dir',
    at('data'),
    '--force',
  );
  expect([busy.code, busy.stderr]).toEqual([7, expect.stringContaining('ERR_DATA_DIR_IN_USE')]);
  await server.stop();
  const outcomes = [];
  for (const [name, flags] of [
    ['plain', []],
    ['keyed', keyed.slice(1)],
  ] as const) {
    const elsewhere = at(name);
    mkdirSync(elsewhere);
    const restored = await runTrustplane(
      'restore',
      '--file',
      at(`${name}.backup`),
      '--data-dir',
      path.join(elsewhere, 'data'),
      ...flags,
    );
    expect([restored.stderr, restored.code]).toEqual(['', 0]);
    const other = await launchServer(elsewhere);
    outcomes.push({
      names: await namesOf(other),
      isSame: (await activeOf(other)) === active,
      isAhead: (await sequenceOf(other)) > sequence,
      policies: await policiesOf(other),
    });
    // What follows is chained to what was restored.
    await applyPolicy(other, at('web.yaml'), '/c');
    expect(await policiesOf(other)).toMatchObject({
      shown: [{ version: { version: 4 } }, {}, {}, {}],
    });
    await other.stop();
  }
  expect(outcomes).toEqual([
    { names: ['web'], isSame: false, isAhead: true, policies },
    { names: ['web'], isSame: true, isAhead: true, policies },
  ]);
});

it('a state moves to the store that servers share, and back', async () => {
  const { at, folder, launch } = place();
  const nats = await launchNatsServer({ jetStream: true });
  onTestFinished(async () => await nats[Symbol.asyncDispose]());
  const shared = `server: { store: { type: jetstream, servers: ['${nats.url}'], replicas: 1, isTest: true } }`;
  const server = await launch();
  await makeEntry(server, 'web');
  await applyPolicy(server, at('web.yaml'), '/a');
  const policies = await policiesOf(server);
  const active = await activeOf(server);
  await server.stop();
  const config = at('migrate.yaml');
  writeFileSync(
    config,
    `trustDomain: example.org\n${shared.replace('server: {', `server: { dataDir: ${at('data')},`)}\n`,
  );
  const migrate = async (from: string, to: string, ...flags: readonly string[]) =>
    await runTrustplane(
      'store',
      'migrate',
      '--config',
      config,
      '--from',
      from,
      '--to',
      to,
      ...flags,
    );
  expect(await migrate('sqlite', 'jetstream')).toMatchObject({ stderr: '', code: 0 });
  await expect(launch()).rejects.toThrow('ERR_STORE_MOVED');
  const moved = await launch(shared);
  expect(await namesOf(moved)).toEqual(['web']);
  expect(await activeOf(moved)).toBe(active);
  expect(await policiesOf(moved)).toEqual(policies);
  await applyPolicy(moved, at('web.yaml'), '/b');
  const changed = await policiesOf(moved);
  await makeEntry(moved, 'later');
  await moved.stop();
  mkdirSync(at('other'));
  const other = await launchServer(at('other'), { config: shared });
  const used = { code: 7, stderr: expect.stringContaining('ERR_STORE_IN_USE') };
  expect(await migrate('jetstream', 'sqlite', '--force')).toMatchObject(used);
  await makeEntry(other, 'meanwhile');
  await other.stop();
  expect(await migrate('jetstream', 'sqlite')).toMatchObject({ code: 4 });
  expect(await migrate('jetstream', 'sqlite', '--force')).toMatchObject({ stderr: '', code: 0 });
  await expect(launch(shared)).rejects.toThrow('ERR_STORE_MOVED');
  const back = await launch();
  expect(await namesOf(back)).toEqual(['later', 'meanwhile', 'web']);
  expect(await activeOf(back)).toBe(active);
  expect(await policiesOf(back)).toEqual(changed);
  expect(changed).toMatchObject({ verified: true, shown: [{ version: { version: 2 } }, {}] });
  expect(existsSync(path.join(folder, 'data', 'restored'))).toBe(false);
});
