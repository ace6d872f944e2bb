import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type BootstrapFlags,
  lintEnvoy,
  parseBootstrapFlags,
  writeBootstrapYaml,
} from '../../src/envoy/index.ts';
import { bootstrapCases } from '../programs/bootstrap-cases.ts';
import { validateBootstrap } from '../programs/launch-envoy.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { complaintsAbout, writeJwks } from '../programs/validate-bootstraps.ts';

/** Every so many of the cases of the drill; primes, so that no option goes with them. */
const EVERY_RUN = 37;
const EVERY_LINTED = 7;

let folder: RunFolder;
let cases: readonly BootstrapFlags[];
beforeAll(async () => {
  folder = createRunFolder();
  cases = bootstrapCases(await writeJwks(folder.path));
});
afterAll(async () => await folder.remove());

describe('what envoy bootstrap makes', () => {
  it('is taken by Envoy', async () => {
    const some = cases.filter((_, at) => at % EVERY_RUN === 0);
    expect(await complaintsAbout(some, folder.path)).toEqual([]);
  });

  it('has nothing that is dangerous', () => {
    const some = cases.filter((_, at) => at % EVERY_LINTED === 0);
    const found = some.flatMap((flags) => {
      const text = writeBootstrapYaml(parseBootstrapFlags(flags), ['test']);
      const { findings, unknown } = lintEnvoy([{ file: 'made.yaml', text }]);
      return [...findings.map(({ code, path: where }) => `${code} ${where}`), ...unknown];
    });
    expect([...new Set(found)]).toEqual([]);
  });
});

it.each(['rbac-sidecar', 'rbac-and-check-sidecar', 'rbac-tcp'])(
  'envoy/%s.yaml is taken by Envoy as it is',
  async (name) => {
    const file = path.join(import.meta.dirname, '..', '..', 'envoy', `${name}.yaml`);
    expect(await validateBootstrap(readFileSync(file, 'utf8'), folder.path)).toBeUndefined();
  },
);
