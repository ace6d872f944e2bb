import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const programs = {
  testTimeout: 180_000,
  hookTimeout: 180_000,
  // Each runs many programs, and some say how long things take.
  maxWorkers: Math.max(1, Math.floor(availableParallelism() / 2)),
  sequence: { groupOrder: 1 },
};

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
          exclude: ['test/e2e/**/*-drill.test.ts'],
          ...programs,
        },
      },
      // What is done again and again: not of `npm test`, but of CI.
      { test: { name: 'drill', include: ['test/e2e/**/*-drill.test.ts'], ...programs } },
    ],
  },
});
