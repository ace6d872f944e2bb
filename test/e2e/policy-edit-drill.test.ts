import { expect, it } from 'vitest';
import { launchAuthorizedMesh } from '../programs/authorized-mesh.ts';
import { editUnderLoad, rulesOf } from '../programs/policy-edits.ts';

/** `EDITS=1000` for a longer one. */
const EDITS = Number(process.env['EDITS'] ?? 100);

it('decides no request wrongly, and none fails, while policies are edited', async () => {
  const mesh = await launchAuthorizedMesh({ rules: rulesOf(0), connectionDuration: '3600s' });
  const { timesMs, answers, wrong } = await editUnderLoad(mesh, EDITS);
  expect(wrong).toEqual([]);
  expect(timesMs).toHaveLength(EDITS);
  expect(answers).toBeGreaterThan(EDITS);
  const last = [...timesMs].sort((a, b) => a - b);
  const shown = [0.5, 0.99].map((part) => last[Math.ceil(part * EDITS) - 1]?.toFixed(0)).join(', ');
  process.stderr.write(`${EDITS} edits, p50 and p99 until enforced ${shown} ms\n`);
});
