import { describe, expect, it } from 'vitest';
import { FakeKernel } from '../../test/fakes/fake-kernel.ts';
import { ProcessTable } from './process-table.ts';

describe('ProcessTable', () => {
  it('holds one object and one pidfd for all connections of a process (WLEP-9)', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7, startTime: '100' });
    const table = new ProcessTable(kernel);
    const keys = Array.from({ length: 1_000 }, () => table.acquire(kernel.connect(7)));
    expect(new Set(keys).size).toBe(1);
    expect(table.size).toBe(1);
    expect(kernel.openPidfds).toBe(1);
    expect(table.get(keys[0] ?? '')).toMatchObject({
      pid: 7,
      uid: 1000,
      gid: 1000,
      startTime: '100',
    });
  });

  it('gives the pidfd back after the last connection, and then holds nobody alive', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7 });
    const table = new ProcessTable(kernel);
    const key = table.acquire(kernel.connect(7));
    table.acquire(kernel.connect(7));
    const peer = table.get(key);
    table.release(key);
    expect(peer?.isAlive()).toBe(true);
    table.release(key);
    expect(kernel.openPidfds).toBe(0);
    expect(table.get(key)).toBeUndefined();
    expect(peer?.isAlive()).toBe(false);
    table.release(key);
    expect(kernel.openPidfds).toBe(0);
  });

  it('refuses a process that exited before its connection was accepted (WLEP-9)', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7 });
    const socket = kernel.connect(7);
    kernel.exit(7);
    const table = new ProcessTable(kernel);
    expect(() => table.acquire(socket)).toThrow(expect.objectContaining({ code: 'ERR_PEER_GONE' }));
    expect(table.size).toBe(0);
    expect(kernel.openPidfds).toBe(0);
  });

  it('refuses it also when another process has its pid by then (WLEP-9)', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7, startTime: '100' });
    const early = kernel.connect(7);
    kernel.exit(7);
    kernel.start({ pid: 7, startTime: '200' });
    const table = new ProcessTable(kernel);
    const successor = table.acquire(kernel.connect(7));
    expect(() => table.acquire(early)).toThrow(expect.objectContaining({ code: 'ERR_PEER_GONE' }));
    expect(table.get(successor)?.startTime).toBe('200');
    expect(kernel.openPidfds).toBe(1);
  });

  it('keeps a dead process apart from the one that has its pid now', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7, startTime: '100' });
    const table = new ProcessTable(kernel);
    const first = table.acquire(kernel.connect(7));
    kernel.exit(7);
    kernel.start({ pid: 7, startTime: '200' });
    const second = table.acquire(kernel.connect(7));
    expect(table.get(first)?.isAlive()).toBe(false);
    expect(table.get(second)).toMatchObject({ startTime: '200' });
    table.release(first);
    expect(table.acquire(kernel.connect(7))).toBe(second);
  });

  it('keeps connections apart that a process made with different credentials', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 7, uid: 0, gid: 0 });
    const table = new ProcessTable(kernel);
    const privileged = table.acquire(kernel.connect(7));
    kernel.setCredentials(7, 1000, 1000);
    const dropped = table.acquire(kernel.connect(7));
    expect(table.get(privileged)?.uid).toBe(0);
    expect(table.get(dropped)?.uid).toBe(1000);
  });

  it('falls back to pidfd_open where the kernel has no SO_PEERPIDFD', () => {
    const kernel = new FakeKernel({ peerPidfds: false });
    kernel.start({ pid: 7 });
    const table = new ProcessTable(kernel);
    const key = table.acquire(kernel.connect(7));
    table.acquire(kernel.connect(7));
    expect(kernel.openPidfds).toBe(1);
    kernel.exit(7);
    expect(table.get(key)?.isAlive()).toBe(false);
    const late = kernel.connect(8, { dead: true });
    expect(() => table.acquire(late)).toThrow(expect.objectContaining({ code: 'ERR_PEER_GONE' }));
  });

  it('refuses a peer in a PID namespace that is not visible', () => {
    const kernel = new FakeKernel();
    kernel.start({ pid: 0 });
    const table = new ProcessTable(kernel);
    expect(() => table.acquire(kernel.connect(0))).toThrow(
      expect.objectContaining({ code: 'ERR_PEER_UNKNOWN' }),
    );
  });
});
