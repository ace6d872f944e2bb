import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { limitLog } from './limit-log.ts';
import { createLog, type Log } from './log.ts';

let clock: FakeClock;
let lines: Record<string, unknown>[];
let log: Log;

beforeEach(() => {
  clock = new FakeClock();
  lines = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  log = limitLog(createLog({ level: 'debug', destination }), clock);
});

function repeat(count: number, write: (index: number) => void): void {
  for (let index = 0; index < count; index++) write(index);
}

describe('limitLog', () => {
  it('writes 20 lines of a message a minute, then how many more there were', () => {
    repeat(100, (pid) => log.warn({ pid }, 'refused'));
    expect(lines.map(({ pid }) => pid)).toEqual(Array.from({ length: 20 }, (_, pid) => pid));
    lines = [];
    clock.advance(60_000);
    expect(lines).toMatchObject([
      { level: 'warn', suppressed: 80, line: 'refused', msg: 'log lines were suppressed' },
    ]);
    log.warn({ pid: 1 }, 'refused');
    expect(lines).toHaveLength(2);
    clock.advance(60_000);
    expect(lines).toHaveLength(2);
    expect(clock.timers).toBe(0);
  });

  it('counts the lines of children together, other messages and levels apart', () => {
    repeat(20, (pid) => log.child({ pid }).info({}, 'refused'));
    log.child({ pid: 21 }).info({}, 'refused');
    expect(lines).toHaveLength(20);
    log.info({}, 'ready');
    log.error({}, 'refused');
    expect(lines).toHaveLength(22);
  });

  it('leaves debug lines as they are', () => {
    repeat(50, () => log.debug({}, 'attested'));
    expect(lines).toHaveLength(50);
  });
});
