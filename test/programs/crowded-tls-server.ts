/** A TLS server that opens files until it has no descriptor left, and closes them again, at each SIGUSR2. */
import { closeSync, openSync } from 'node:fs';
import { TlsPlace } from '../fakes/tls-place.ts';

const place = await TlsPlace.create();
await place.serve();
const files: number[] = [];

function fill(): void {
  try {
    for (;;) files.push(openSync('/dev/null', 'r'));
  } catch {
    console.log('full');
  }
}

process.on('SIGUSR2', () => {
  if (files.length === 0) return fill();
  for (const file of files.splice(0)) closeSync(file);
  console.log('free');
});
console.log(`port ${place.port}`);
