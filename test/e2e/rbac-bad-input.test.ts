import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { EcdsClient } from '../fakes/ecds-client.ts';
import { eventually } from '../programs/eventually.ts';
import { openRbacMesh, type RbacMesh, rbacName } from '../programs/open-rbac-mesh.ts';

const ALWAYS = { id: 'always', allow: ['GET /always'] };

/** Files of at most a megabyte, of which the agent takes many. */
function rulesIn(file: number): object[] {
  return Array.from({ length: 8_000 }, (_, at) => ({
    id: `n${file}-${at}`,
    allow: [`GET /${file}/${at}`],
  }));
}

describe('an Envoy whose service has more rules than Envoys are given', () => {
  let mesh: RbacMesh;
  beforeAll(async () => {
    const others = Array.from({ length: 6 }, (_, file) => rulesIn(file));
    mesh = await openRbacMesh({ rules: [ALWAYS], others });
    await mesh.untilAllowed('GET /always');
  });
  afterAll(async () => await mesh?.close());

  it('keeps the last ones, while it is said why, and takes the next that are few enough', async () => {
    expect((await mesh.ask('GET /5/7999')).status).toBe(200);
    const edit = { id: 'edit', allow: ['GET /edit'] };
    mesh.save([ALWAYS, edit, ...rulesIn(6).slice(0, 2_000)]);
    const line = await eventually('the refusal', () =>
      mesh.trustplane.lines.find((one) => one.includes('rules cannot be compiled for Envoy')),
    );
    expect(JSON.parse(line)).toMatchObject({
      name: rbacName,
      service: 'spiffe://example.org/server',
      fault: expect.stringMatching(/50002 rules; an Envoy is given at most 50000 rules/u),
    });
    expect((await mesh.ask('GET /always')).status).toBe(200);
    expect((await mesh.ask('GET /edit')).status).toBe(403);
    await eventually('the status', async () =>
      /envoy server \(pid \d+\): .*, refused/u.test(await mesh.status()),
    );
    mesh.save([ALWAYS, edit]);
    await mesh.untilAllowed('GET /edit');
  });

  it.each([
    [33, /Envoy 1\.33 is too old .*expected 1\.34 or later.*ext_authz/u],
    [0, /Envoy 1\.0 is too old/u],
  ])('gives none to Envoy 1.%i, and says why', async (minor, why) => {
    const client = new EcdsClient(mesh.trustplane.socket);
    onTestFinished(() => client.close());
    const stream = client.delta();
    const version = { major_number: 1, minor_number: minor };
    const user_agent_build_version = { version };
    const node = { id: `old-${minor}`, user_agent_name: 'envoy', user_agent_build_version };
    stream.send({ node, resource_names_subscribe: [rbacName] });
    expect((await stream.next()).removed).toEqual([rbacName]);
    const line = await eventually('the reason', () =>
      mesh.trustplane.lines.find((one) => one.includes(`envoy old-${minor} (pid`)),
    );
    expect(JSON.parse(line)).toMatchObject({ fault: expect.stringMatching(why) });
  });
});
