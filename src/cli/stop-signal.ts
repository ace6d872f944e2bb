const REPEAT_MS = 1_000;
/** A shell's exit code for a process that a signal ended, before the signal's number. */
const SIGNALED = 128;

/**
 * Resolves at the first SIGTERM or SIGINT, or SIGHUP where that has no other meaning. A repeat within a second is the same wish, sent on by npm
 * beside the terminal; a later one means that draining takes too long, and ends the process at once.
 */
export function stopSignal(
  options: { readonly reloads: boolean } = { reloads: false },
): Promise<undefined> {
  let first: number | undefined;
  return new Promise((resolve) => {
    const onSignal = (_signal: NodeJS.Signals, number: number): void => {
      const now = performance.now();
      first ??= now;
      if (now - first > REPEAT_MS) process.exit(SIGNALED + number);
      resolve(undefined);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    // From the start on, so that a reload before everything serves ends nothing.
    process.on('SIGHUP', options.reloads ? () => {} : onSignal);
  });
}
