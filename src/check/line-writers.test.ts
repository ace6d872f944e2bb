import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { LineFile } from './line-file.ts';
import { PortWriter, servePort } from './port-writer.ts';
import { type LineWriter, QueuedSink } from './queued-sink.ts';

const line = (text: string): Buffer => Buffer.from(`${text}\n`);

describe('a sink with a queue', () => {
  it('never waits for a slow writer: what is beyond its bound is dropped and counted', async () => {
    const gates: (() => void)[] = [];
    const seen: string[] = [];
    const counts = { written: 0, dropped: 0 };
    const writer: LineWriter = {
      append: async (lines) => {
        seen.push(String(lines));
        await new Promise<void>((resolve) => gates.push(resolve));
      },
      close: async () => {},
    };
    const sink = new QueuedSink(writer, {
      maxBytes: 10,
      onWritten: (lines) => (counts.written += lines),
      onDropped: (lines) => (counts.dropped += lines),
    });
    sink.write(Buffer.from('1\n2\n'), 2);
    sink.write(Buffer.from('3\n4\n'), 2);
    sink.write(Buffer.from('5\n6\n'), 2);
    expect(counts).toEqual({ written: 0, dropped: 2 });
    const closed = sink.close();
    while (counts.written < 4) {
      gates.shift()?.();
      await Promise.resolve();
    }
    await closed;
    expect(seen).toEqual(['1\n2\n', '3\n4\n']);
  });

  it('goes on after a writer that failed, and says why it did', async () => {
    const causes: unknown[] = [];
    let left = 1;
    const writer: LineWriter = {
      append: async () => {
        if (left-- > 0) throw new Error('full');
      },
      close: async () => {},
    };
    let written = 0;
    const sink = new QueuedSink(writer, {
      maxBytes: 100,
      onWritten: (lines) => (written += lines),
      onDropped: (_, cause) => causes.push(cause),
    });
    sink.write(line('a'), 1);
    sink.write(line('b'), 1);
    await sink.close();
    expect(causes).toEqual([new Error('full')]);
    expect(written).toBe(1);
  });
});

describe('a file of lines', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'lines-'));
    file = path.join(folder, 'log');
    onTestFinished(() => rmSync(folder, { recursive: true }));
  });
  const open = (maxBytes = 0, keep = 2): LineFile => new LineFile({ path: file, maxBytes, keep });

  it('is appended to, for its group to read', async () => {
    for (const text of ['a', 'b']) {
      const log = open();
      await log.append(line(text));
      await log.close();
    }
    expect(readFileSync(file, 'utf8')).toBe('a\nb\n');
    expect(statSync(file).mode & 0o777 & ~0o640).toBe(0);
  });

  it('is made anew once it was renamed or removed', async () => {
    const log = open();
    await log.append(line('a'));
    renameSync(file, `${file}-old`);
    await log.append(line('b'));
    rmSync(file);
    await log.append(line('c'));
    await log.close();
    expect(readFileSync(`${file}-old`, 'utf8')).toBe('a\n');
    expect(readFileSync(file, 'utf8')).toBe('c\n');
  });

  it('is renamed when it is large, and so many are kept', async () => {
    const log = open(4);
    for (const text of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']) await log.append(line(text));
    await log.close();
    expect(readdirSync(folder).toSorted()).toEqual(['log', 'log.1', 'log.2']);
    expect(readFileSync(file, 'utf8')).toBe('i\n');
    expect(readFileSync(`${file}.1`, 'utf8')).toBe('g\nh\n');
    expect(readFileSync(`${file}.2`, 'utf8')).toBe('e\nf\n');
  });

  it('rejects what it cannot write, and is written once it can be', async () => {
    const later = path.join(folder, 'later');
    const log = new LineFile({ path: path.join(later, 'log'), maxBytes: 0, keep: 1 });
    await expect(log.append(line('a'))).rejects.toThrow('ENOENT');
    mkdirSync(later);
    await log.append(line('b'));
    await log.close();
    expect(readFileSync(path.join(later, 'log'), 'utf8')).toBe('b\n');
  });

  it('is no FIFO that nobody reads, which would be waited for without end', async () => {
    execFileSync('mkfifo', [file]);
    const log = open();
    await expect(log.append(line('a'))).rejects.toThrow('ENXIO');
    rmSync(file);
    await log.append(line('b'));
    await log.close();
    expect(readFileSync(file, 'utf8')).toBe('b\n');
  });
});

describe('lines over a port', () => {
  it('are written by the other thread, which says how it went', async () => {
    const { port1, port2 } = new MessageChannel();
    const seen: string[] = [];
    let isClosed: (() => void) | undefined;
    const closed = new Promise<void>((resolve) => (isClosed = resolve));
    servePort(port1, {
      append: async (lines, count) => {
        if (seen.length > 0) throw new Error('not connected');
        seen.push(`${count} ${String(lines)}`);
      },
      close: async () => isClosed?.(),
    });
    const writer = new PortWriter(port2);
    await writer.append(line('a'), 1);
    expect(seen).toEqual(['1 a\n']);
    await expect(writer.append(line('b'), 1)).rejects.toThrow('not connected');
    await writer.close();
    await closed;
    await expect(writer.append(line('c'), 1)).rejects.toThrow('ended');
  });
});
