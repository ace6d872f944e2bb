import { describe, expect, it } from 'vitest';
import { launchAuthorizedMesh } from '../programs/authorized-mesh.ts';
import { eventually } from '../programs/eventually.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';

const CLIENT = 'spiffe://example.org/client';

/** Two Envoys with mTLS between them, the second of which asks an authorization server; and the command line. */
async function launch(connectionDuration: string) {
  const mesh = await launchAuthorizedMesh({
    rules: [{ allow: ['GET /a'] }],
    connectionDuration,
  });
  const run = async (...words: readonly string[]) =>
    await runTrustplane(...words, '--admin-socket', mesh.trustplane.adminSocket);
  return {
    ...mesh,
    run,
    async json(...words: readonly string[]) {
      const done = await run(...words, '--output', 'json');
      expect(done).toMatchObject({ code: 0 });
      return JSON.parse(done.stdout);
    },
    /** Of the client's own Envoy, until it is so. */
    becomes: async (status: number) =>
      await eventually(
        `GET /a is answered ${status}`,
        async () => (await mesh.ask('GET /a')).status === status || undefined,
        { timeoutMs: 30_000 },
      ),
  };
}

describe('an identity', () => {
  it('that is revoked is denied on a live connection, and given back it is served again', async () => {
    const { json, run, becomes, ask, trustplane } = await launch('15s');
    expect(await json('revoke', '--spiffe-id', CLIENT, '--dry-run')).toMatchObject({
      dryRun: true,
      suspension: null,
      impact: { suspendedEntries: 1, reissuedEntries: 0, spiffeIds: 1, agents: 1 },
      holder: null,
    });
    expect((await ask('GET /a')).status).toBe(200);
    const told = await json('revoke', '--spiffe-id', CLIENT, '--reason', 'its key leaked');
    const by = `uid ${process.getuid?.()}`;
    expect(told).toMatchObject({
      revocations: [{ kind: 'spiffe-id', value: CLIENT, reason: 'its key leaked', by }],
      suspension: { kind: 'spiffe-id', value: CLIENT, reason: 'its key leaked', by, lifted: null },
    });
    await becomes(403);
    const socket = ['--socket', trustplane.socket];
    const fetched = await runTrustplane('api', 'fetch', 'x509', ...socket, '--output', 'json');
    expect(fetched.stdout).not.toContain(CLIENT);
    // Another entry of the ID gets nothing either.
    await trustplane.createEntry(CLIENT, '--selector', `unix:gid:${process.getgid?.()}`);
    expect(await json('revocation', 'list', '--active')).toMatchObject({
      suspensions: [{ value: CLIENT, lifted: null }],
      revocations: [{ value: CLIENT, by }],
    });
    expect(await run('revoke', '--spiffe-id', 'spiffe://example.org/cleint')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('ERR_REVOCATION_UNKNOWN'),
    });
    expect(await run('unsuspend', '--spiffe-id', CLIENT)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('new SVIDs are issued for 2 entries'),
    });
    await becomes(200);
    expect(await run('unsuspend', '--spiffe-id', CLIENT)).toMatchObject({ code: 3 });
    const text = await run('revocation', 'list');
    expect(text.stdout).toMatch(new RegExp(`spiffe-id +${CLIENT}`, 'u'));
  });

  it('that is to be issued anew has another SVID at once; a connection made with the old one is denied', async () => {
    const { json, becomes, ask, trustplane } = await launch('600s');
    const serial = async (): Promise<string> => {
      const where = ['--socket', trustplane.socket, '--output', 'json'];
      const { stdout } = await runTrustplane('api', 'fetch', 'x509', ...where);
      const { svids }: { svids: { spiffeId: string; serialNumber: string }[] } = JSON.parse(stdout);
      return svids.find(({ spiffeId }) => spiffeId === CLIENT)?.serialNumber ?? '';
    };
    const before = await serial();
    expect(before).not.toBe('');
    expect((await ask('GET /a')).status).toBe(200);
    expect(await json('revoke', '--spiffe-id', CLIENT, '--reissue')).toMatchObject({
      suspension: null,
      impact: { suspendedEntries: 0, reissuedEntries: 1 },
    });
    await becomes(403);
    const after = await serial();
    expect([after !== '', after === before]).toEqual([true, false]);
    // One SVID alone: its holder gets another.
    expect(await json('revoke', '--serial', after)).toMatchObject({
      suspension: null,
      holder: { spiffeId: CLIENT, purpose: 'workload', entryId: expect.any(String) },
    });
    await eventually('another one', async () => {
      const now = await serial();
      return (now !== '' && now !== after) || undefined;
    });
  });
});
