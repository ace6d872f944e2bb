import { expect, it, onTestFinished } from 'vitest';
import { runPolicy } from '../fakes/policy-program.ts';
import { openRbacMesh } from '../programs/open-rbac-mesh.ts';

it("explains what a real Envoy's access log says of its rules", async () => {
  const mesh = await openRbacMesh({
    rules: [{ allow: ['GET /a'] }, { deny: ['/b/**'] }, { from: ['spiffe://x/y'], allow: ['/c'] }],
  });
  onTestFinished(async () => await mesh.close());
  await mesh.untilAllowed('GET /a');
  for (const line of ['GET /a?x=1', 'GET /b/x', 'GET /c', 'POST /a']) await mesh.ask(line);
  // Its last lines are written when it ends.
  await mesh.server.stop();
  const { policies, accessLog } = mesh;
  const flags = ['--access-log', accessLog, '--output', 'json'];
  const { code, out } = await runPolicy('explain', policies, ...flags);
  expect(code).toBe(0);
  const lines: { request: string; agreement: string; envoy: { name: string; rule?: object } }[] =
    JSON.parse(out).lines;
  // What was asked before the rules had come is told first.
  const differing = lines.filter(({ agreement }) => agreement !== 'same');
  expect(differing.every(({ envoy }) => envoy.name === 'policy_missing')).toBe(true);
  expect(
    lines.slice(-4).map(({ request, agreement, envoy }) => [request, agreement, envoy.name]),
  ).toEqual([
    ['GET /a?x=1', 'same', 'r0'],
    ['GET /b/x', 'same', 'r1'],
    ['GET /c', 'same', 'no_rule_matched'],
    ['POST /a', 'same', 'no_rule_matched'],
  ]);
  expect(lines.at(-3)?.envoy.rule).toMatchObject({ policy: 'p', rule: 'r1', line: 1 });
});
