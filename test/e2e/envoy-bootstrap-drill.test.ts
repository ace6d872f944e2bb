import { expect, it, onTestFinished } from 'vitest';
import { bootstrapCases } from '../programs/bootstrap-cases.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { complaintsAbout, writeJwks } from '../programs/validate-bootstraps.ts';

it('every combination of options of envoy bootstrap is taken by Envoy', async () => {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  const cases = bootstrapCases(await writeJwks(folder.path));
  expect(cases.length).toBeGreaterThan(500);
  expect(await complaintsAbout(cases, folder.path)).toEqual([]);
}, 600_000);
