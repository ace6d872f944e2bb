import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const programs = {
  testTimeout: 180_000,
  hookTimeout: 180_000,
  // Each runs many programs, and some say how long things take.
  maxWorkers: Math.max(1, Math.floor(availableParallelism() / 2)),
  sequence: { groupOrder: 1 },
};

/** What is done again and again, or takes half a minute: not of `npm test`, but of CI. */
const drills = [
  'test/e2e/**/*-drill.test.ts',
  'test/e2e/bounds.test.ts',
  'test/e2e/forced-rotation.test.ts',
  'test/e2e/several-servers.test.ts',
  'test/e2e/state-safety.test.ts',
  'test/suites/*-kill.test.ts',
  'test/suites/jetstream-damage.test.ts',
];

/** What needs root, cgroups and a container engine. */
const containers = ['test/e2e/**/*-containers.test.ts'];

/** What a commit is tested with does not change from run to run; the scripts that look for more take another. */
process.env['SEED'] ??= '1';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'test/{differential,fakes,fuzz,programs,suites}/**/*.test.ts',
            'scripts/**/*.test.ts',
          ],
          exclude: drills,
          setupFiles: 'test/fakes/property-seed.ts',
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [...drills, ...containers],
          ...programs,
        },
      },
      { test: { name: 'drill', include: drills, ...programs } },
      { test: { name: 'containers', include: containers, ...programs } },
    ],
  },
});
