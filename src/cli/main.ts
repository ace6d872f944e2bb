import { processIo } from './io.ts';
import { run } from './program.ts';

const args = process.argv.slice(2);
const isService = args[0] === 'up' || args[1] === 'run';

/** The reader of a pipe has gone, as in `trustplane ... | head`: nobody is left to tell, and a server goes on. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (!isService) process.exit(error.code === 'EPIPE' ? 0 : 1);
});

process.exitCode = await run(processIo, args);
