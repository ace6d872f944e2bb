import { openAuthorizedMesh } from '../test/programs/open-authorized-mesh.ts';
import { openRbacMesh } from '../test/programs/open-rbac-mesh.ts';
import { editUnderLoad, rulesOf } from '../test/programs/policy-edits.ts';
import { swappedRules } from '../test/programs/rbac-swaps.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';

const EDITS = 100;
const WARM_UP = 5;
const FILES = 10;
const RULES = 1_000;

/** From a policy's file to the requests of a real Envoy, while others ask. */
export const policyEdit: Benchmark = p99OfRuns({
  name: 'policy_edit_to_enforced_p99_ms',
  about: `policy file saved → first request through a real Envoy that is decided by it, under load; p99 of ${EDITS}, none failed or wrongly decided`,
  limitMs: 100,
  measure: async () => {
    const mesh = await openAuthorizedMesh({ rules: rulesOf(0), connectionDuration: '3600s' });
    try {
      const { timesMs, wrong } = await editUnderLoad(mesh, WARM_UP + EDITS);
      if (wrong.length > 0) throw new Error(`wrongly decided: ${wrong.slice(0, 5).join('; ')}`);
      return timesMs.slice(WARM_UP);
    } finally {
      await mesh.close();
    }
  },
});

/** The same where the Envoy decides itself, by rules that the agent brings it. */
export const policyEditToEnvoy: Benchmark = editToEnvoy(
  'policy_edit_to_envoy_p99_ms',
  `one of ${FILES} policy files of ${RULES / FILES} rules each`,
  FILES,
);

/** The same where all is one file, so that each edit is of all rules. */
export const policyEditOfAllToEnvoy: Benchmark = editToEnvoy(
  'policy_edit_of_all_to_envoy_p99_ms',
  `a policy file of ${RULES} rules`,
  1,
);

function editToEnvoy(name: string, what: string, files: number): Benchmark {
  return p99OfRuns({
    name,
    about: `${what} saved → first request that a real Envoy decides itself by it, under load; p99 of ${EDITS}, none failed or wrongly decided`,
    limitMs: 150,
    measure: async () => {
      const size = RULES / files;
      // Each rule of its own caller and path; the first of a file is the one that is edited.
      const all = swappedRules(0, RULES + 2).slice(2);
      const [own = [], ...others] = Array.from({ length: files }, (_, at) =>
        all.slice(at * size + (at === 0 ? 1 : 0), (at + 1) * size),
      );
      const mesh = await openRbacMesh({ rules: rulesOf(0, own), others });
      try {
        await mesh.untilAllowed('GET /always');
        const { timesMs, wrong } = await editUnderLoad(mesh, WARM_UP + EDITS, own);
        if (wrong.length > 0) throw new Error(`wrongly decided: ${wrong.slice(0, 5).join('; ')}`);
        return timesMs.slice(WARM_UP);
      } finally {
        await mesh.close();
      }
    },
  });
}
