/** Shows how a demo goes. */
export interface View<State> {
  note(message: string): void;
  draw(state: State): void;
  close(): void;
}

/** What of a state is shown. */
export interface Drawing<State> {
  /** The whole screen. */
  readonly screen: (state: State) => readonly string[];
  /** The counts, where there is no screen. */
  readonly line: (state: State) => string;
  readonly elapsedSeconds: (state: State) => number;
}

/** One screen that is drawn over, on a terminal's alternate screen. */
export function createScreen<State>(
  out: NodeJS.WriteStream,
  { screen }: Pick<Drawing<State>, 'screen'>,
): View<State> {
  let isOpen = false;
  return {
    note: (message) => void (isOpen || out.write(`${message}\n`)),
    draw: (state) => {
      if (!isOpen) out.write('\x1b[?1049h\x1b[?25l');
      isOpen = true;
      const lines = screen(state).map((line) => `${line.slice(0, out.columns || 80)}\x1b[K`);
      out.write(`\x1b[H${lines.join('\n')}\x1b[J`);
    },
    close: () => {
      if (isOpen) out.write('\x1b[?1049l\x1b[?25h');
      isOpen = false;
    },
  };
}

/** A line for each event, and one with the counts every five seconds. */
export function createLines<State>(
  out: NodeJS.WritableStream,
  { line, elapsedSeconds }: Drawing<State>,
): View<State> {
  let nextSecond = 0;
  return {
    note: (message) => void out.write(`${message}\n`),
    draw: (state) => {
      const seconds = elapsedSeconds(state);
      if (seconds < nextSecond) return;
      nextSecond = seconds + 5;
      out.write(`${seconds.toFixed(0)} s: ${line(state)}\n`);
    },
    close: () => {},
  };
}
