import { processIo } from './io.ts';
import { run } from './program.ts';

/** The reader of a pipe has gone, as in `trustplane ... | head`: nobody is left to tell. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

process.exitCode = await run(processIo, process.argv.slice(2));
