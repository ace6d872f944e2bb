import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeKernel } from '../../test/fakes/fake-kernel.ts';
import { type Log, silentLog } from '../ops/index.ts';
import { ConnectionGate, type GateOptions } from './connection-gate.ts';
import { ProcessTable } from './process-table.ts';

/** A gate with fake processes and real, unconnected sockets that have a fake descriptor. */
class Fixture {
  readonly kernel: FakeKernel = new FakeKernel();
  readonly clock: FakeClock = new FakeClock();
  readonly served: unknown[] = [];
  readonly refused: string[] = [];
  readonly warnings: string[] = [];
  readonly peers: ProcessTable = new ProcessTable(this.kernel);
  open = 0;
  readonly gate: ConnectionGate;

  constructor(options: Partial<GateOptions> = {}) {
    const log: Log = { ...silentLog, warn: (_fields, message) => this.warnings.push(message) };
    this.gate = new ConnectionGate({
      peers: this.peers,
      injector: { injectConnection: (socket) => this.served.push(socket) },
      metrics: {
        accepted: () => (this.open += 1),
        closed: () => (this.open -= 1),
        refused: (reason) => this.refused.push(reason),
      },
      log,
      clock: this.clock,
      maxConnections: 10,
      maxConnectionsPerUser: 2,
      trustedUsers: new Set([0]),
      handshakeTimeoutMs: 1_000,
      ...options,
    });
    this.kernel.start({ pid: 1, uid: 0 });
    this.kernel.start({ pid: 7, uid: 1000 });
    this.kernel.start({ pid: 8, uid: 1000 });
    this.kernel.start({ pid: 9, uid: 2000 });
  }

  connect(pid: number): Socket {
    const socket = new Socket();
    const close = (closed: () => void): void => closed();
    const handle = { fd: this.kernel.connect(pid), bytesRead: 0, close };
    Object.defineProperty(socket, '_handle', { value: handle, writable: true });
    this.gate.admit(socket);
    return socket;
  }
}

describe('ConnectionGate', () => {
  it('plants the key of the process as the remote address', () => {
    const fixture = new Fixture();
    const socket = fixture.connect(7);
    expect(fixture.served).toEqual([socket]);
    expect(fixture.peers.get(socket.remoteAddress ?? '')?.pid).toBe(7);
  });

  it('bounds the connections of a user over all its processes, but not those of others', () => {
    const fixture = new Fixture();
    const first = fixture.connect(7);
    fixture.connect(8);
    const third = fixture.connect(7);
    expect(third.destroyed).toBe(true);
    expect(fixture.refused).toEqual(['max_connections_per_user']);
    expect(fixture.connect(9).destroyed).toBe(false);
    first.destroy();
    expect(fixture.connect(7).destroyed).toBe(false);
    expect(fixture.open).toBe(3);
  });

  it('does not hold root to that bound', () => {
    const fixture = new Fixture();
    for (let i = 0; i < 5; i++) expect(fixture.connect(1).destroyed).toBe(false);
  });

  it('bounds all connections together', () => {
    const fixture = new Fixture({ maxConnections: 2 });
    const [first] = [fixture.connect(1), fixture.connect(9)];
    expect(fixture.connect(1).destroyed).toBe(true);
    expect(fixture.refused).toEqual(['max_connections']);
    first.destroy();
    expect(fixture.connect(1).destroyed).toBe(false);
  });

  it('holds nothing of a refused or closed connection', () => {
    const fixture = new Fixture({ maxConnectionsPerUser: 1 });
    const first = fixture.connect(7);
    fixture.connect(7);
    first.destroy();
    expect(fixture.peers.size).toBe(0);
    expect(fixture.kernel.openPidfds).toBe(0);
    expect(fixture.open).toBe(0);
  });

  it('refuses a socket without a descriptor', () => {
    const fixture = new Fixture();
    const socket = new Socket();
    fixture.gate.admit(socket);
    expect(socket.destroyed).toBe(true);
    expect(fixture.refused).toEqual(['peer_unknown']);
  });

  it('warns once in ten seconds for each reason, and counts every time', () => {
    const fixture = new Fixture({ maxConnections: 0 });
    for (let i = 0; i < 100; i++) fixture.connect(7);
    fixture.gate.acceptFailed(new Error('ENFILE'));
    expect(fixture.refused).toHaveLength(101);
    expect(fixture.warnings).toHaveLength(2);
    fixture.clock.advance(10_000);
    fixture.connect(7);
    expect(fixture.warnings).toHaveLength(3);
  });

  it('has no timer once all connections have been looked at', () => {
    const fixture = new Fixture();
    const silent = fixture.connect(7);
    expect(fixture.clock.timers).toBe(1);
    fixture.clock.advance(1_000);
    expect(silent.destroyed).toBe(false);
    fixture.clock.advance(1_000);
    expect(silent.destroyed).toBe(true);
    expect(fixture.refused).toEqual(['handshake_timeout']);
    expect(fixture.clock.timers).toBe(0);
    fixture.connect(9);
    fixture.gate.close();
    expect(fixture.clock.timers).toBe(0);
  });
});
