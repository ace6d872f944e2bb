/** Restores the backup of the second argument into the data directory of the first, giving up what is there. */
import { loadConfig } from '../../src/app/load-config.ts';
import { restoreState } from '../../src/app/restore-state.ts';

const [dataDir, file] = process.argv.slice(2);
if (dataDir === undefined || file === undefined)
  throw new Error('usage: restore-state.ts DIR FILE');

const { config } = loadConfig({ dataDir, trustDomain: 'a.test' }, process.getuid?.() ?? 0, {});
await restoreState(config, { file, isForced: true }, {});
