import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { buildPackage } from '../programs/build-package.ts';
import { eventually } from '../programs/eventually.ts';
import { logOf } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { runProgram } from '../programs/run-program.ts';
import { spawnTied } from '../programs/tied-child.ts';

/** The package as it is published, and its program. */
async function launch() {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  const at = (name: string): string => path.join(folder.path, name);
  mkdirSync(at('package'));
  const program = await buildPackage(at('package'));
  expect(existsSync(at('package/src'))).toBe(false);
  return {
    at,
    start: async (...args: readonly string[]) => {
      const child = spawnTied(process.execPath, [program, ...args, '--output', 'json']);
      onTestFinished(async () => void (await child.stop()));
      await logOf(child).line('{"ready":true');
      return child;
    },
    run: async (...args: readonly string[]) => {
      const { code, stdout, stderr } = await runProgram(process.execPath, [program, ...args]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      return stdout;
    },
  };
}

it('the built package has all that it needs: its threads, messages and examples', async () => {
  const { at, start, run } = await launch();
  const policies = { from: 'control-plane' };
  writeFileSync(at('up.json'), JSON.stringify({ authz: { socket: at('in.sock'), policies } }));
  const places = ['--data-dir', at('data'), '--socket', at('agent.sock')];
  const admin = ['--admin-socket', at('admin.sock')];
  const up = await start('up', '--config', at('up.json'), ...places, ...admin);
  writeFileSync(at('own.json'), JSON.stringify({ authz: { socket: at('own.sock'), policies } }));
  const own = await start('authz', 'run', '--config', at('own.json'), '--socket', at('agent.sock'));

  writeFileSync(at('web.yaml'), policyText('web', '/a'));
  await run('policy', 'apply', '-f', at('web.yaml'), '--reason', 'first', '--wait', ...admin);
  await eventually('both decide by it', async () => {
    const status = JSON.parse(await run('policy', 'status', '--output', 'json', ...admin));
    const states = status.agents[0].takers.map(({ state }: { state: string }) => state);
    return states.join() === 'in-force,in-force';
  });
  for (const name of ['in.sock', 'own.sock'])
    await run('healthcheck', '--only', 'authz', '--socket', at(name));
  expect(await run('policy', 'check', at('web.yaml'))).toContain('valid');
  expect(existsSync(at('package/envoy/authorized-sidecar.yaml'))).toBe(true);
  expect([await own.stop(), await up.stop()]).toEqual([0, 0]);
});
