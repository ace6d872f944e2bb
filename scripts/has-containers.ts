/** Says whether this machine can run the tests with containers: exits with 0, or with 2 and why not. */
import { launchDockerd } from '../test/programs/launch-dockerd.ts';
import { makeCgroup } from '../test/programs/made-cgroup.ts';

try {
  await using engine = await launchDockerd();
  makeCgroup(`/trustplane-probe-${process.pid}`).remove();
  process.stdout.write(`a dockerd ran here (process ${engine.pid}), and a cgroup was made\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
