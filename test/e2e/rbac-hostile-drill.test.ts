import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { unprivilegedUid } from '../fakes/unprivileged.ts';
import { eventually } from '../programs/eventually.ts';
import { residentMib } from '../programs/memory.ts';
import { openRbacMesh, type RbacMesh } from '../programs/open-rbac-mesh.ts';
import { spawnTied, type TiedChild } from '../programs/tied-child.ts';

const hostileXds = fileURLToPath(new URL('../programs/hostile-xds.ts', import.meta.url));
const ALWAYS = { id: 'always', allow: ['GET /always'] };
const MOST_MIB = 256;

/** Enough that a copy for each of some hundred streams would be gigabytes. */
const many = Array.from({ length: 9_000 }, (_, at) => ({
  id: `many-${at}`,
  from: [`spiffe://example.org/ns/*/sa/s${at}`],
  allow: [`GET /v1/*/items/${at}`],
}));

let mesh: RbacMesh;
let edits = 0;

beforeAll(async () => {
  mesh = await openRbacMesh({ rules: [ALWAYS], others: [many] });
  await mesh.untilAllowed('GET /always');
});
afterAll(async () => await mesh?.close());

function attack(kind: string, times: number, uid?: number): TiedChild {
  const args = [hostileXds, mesh.trustplane.socket, kind, String(times)];
  const child = spawnTied(process.execPath, args, uid === undefined ? {} : { uid, gid: uid });
  onTestFinished(async () => void (await child.stop()));
  return child;
}

/** A rule that was not there is obeyed, and that which was is none any more. */
async function edit(): Promise<void> {
  const line = `GET /edit-${edits++}`;
  mesh.save([ALWAYS, { id: 'edit', allow: [line] }]);
  await mesh.untilAllowed(line);
  expect((await mesh.ask(`GET /edit-${edits - 2}`)).status).toBe(403);
}

describe('while another process on the host', () => {
  it.each([
    ['names', 20],
    ['churn', 150],
    ['nacks', 150],
    ['types', 500],
    ['bytes', 120],
    ['versions', 200],
    ['fetches', 1_000],
  ])(
    'makes a storm of %s, edits come through, and the agent keeps its size',
    async (kind, times) => {
      await edit();
      const before = residentMib(mesh.trustplane.pid);
      const child = attack(kind, times);
      let most = before;
      const done = (): boolean => child.lines.includes('done');
      do {
        await edit();
        most = Math.max(most, residentMib(mesh.trustplane.pid));
      } while (!done());
      expect(most - before).toBeLessThan(MOST_MIB);
      expect((await mesh.ask('GET /always')).status).toBe(200);
    },
  );

  it('without an identity asks for everything, it is given nothing', async () => {
    const child = attack('idle', 300, unprivilegedUid);
    await eventually('done', () => child.lines.includes('done'));
    await edit();
    expect(await mesh.status()).not.toMatch(/x40/u);
  });

  it('opens many streams and reads none of 5 MB of rules, there is one copy on the way', async () => {
    await edit();
    const before = residentMib(mesh.trustplane.pid);
    const child = attack('idle', 300);
    await eventually('done', () => child.lines.includes('done'));
    await edit();
    await edit();
    const after = residentMib(mesh.trustplane.pid);
    expect(after - before).toBeLessThan(MOST_MIB);
  });
});
