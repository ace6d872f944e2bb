import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { echoMethods, echoService } from '../../test/fakes/echo-service.ts';
import { echo, UnixPlace, until } from '../../test/fakes/unix-place.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { readStartTime } from '../ops/index.ts';
import { type PeerProcess, peerOf } from './index.ts';
import { peers } from './peers.ts';

let place: UnixPlace;

beforeEach(() => {
  place = new UnixPlace();
});

afterEach(() => place.close());

describe('peerOf', () => {
  it('is the process that the kernel names (WLEP-9, SDS-22)', async () => {
    const found: PeerProcess[] = [];
    await place.serve({
      services: [
        echoService({
          unary(request, respond) {
            found.push(peerOf(request));
            respond(null, request.request);
          },
        }),
      ],
    });
    await echo(place.dial());
    await echo(place.dial());
    expect(found[0]).toMatchObject({
      pid: process.pid,
      uid: process.geteuid?.(),
      gid: process.getegid?.(),
      startTime: readStartTime(process.pid),
    });
    expect(found[0]?.isAlive()).toBe(true);
    expect(found[1]).toBe(found[0]);
  });

  it('is unknown for a call that came another way', () => {
    expect(() => peerOf({ getPeer: () => '127.0.0.1:1234' })).toThrow(
      expect.objectContaining({ code: 'ERR_PEER_UNKNOWN' }),
    );
  });

  it.runIf(process.getuid?.() === 0)('has the user of the connect (WLEP-9)', async () => {
    const uids: number[] = [];
    await place.serve({
      services: [echoService({ stream: (stream) => uids.push(peerOf(stream).uid) })],
    });
    process.setegid?.(1234);
    process.seteuid?.(1234);
    const socket = connect(place.path);
    process.seteuid?.(0);
    process.setegid?.(0);
    place.defer(() => socket.destroy());
    const session = connectHttp2('http://localhost', { createConnection: () => socket });
    place.defer(() => session.destroy());
    session.request({
      ':method': 'POST',
      ':path': echoMethods.stream.path,
      'content-type': 'application/grpc',
    });
    await until(() => uids.length > 0);
    expect(uids).toEqual([1234]);
  });
});

/** Connects, leaves the connection to a child, names it, and exits: dead before anybody accepts. */
const HEIR = `
  const { connect } = require('node:net');
  const { spawn } = require('node:child_process');
  const socket = connect(process.argv[1], () => {
    const options = { stdio: ['ignore', 'ignore', 'ignore', socket], detached: true };
    process.stdout.write(String(spawn('sleep', ['60'], options).pid), () => process.exit());
  });
`;

/** Connects and waits until it is served, leaves the connection to a child, and exits; the child then calls. */
const LATE_HEIR = `
  const { connect, Socket } = require('node:net');
  const { spawn } = require('node:child_process');
  const [, path, method, child] = process.argv;
  if (child === undefined) {
    const socket = connect(path, () => {
      socket.write('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n');
      socket.once('readable', () => {
        const stdio = ['pipe', 'ignore', 'inherit', socket];
        spawn(process.execPath, ['-e', process.env.SCRIPT, path, method, 'child'], { stdio, detached: true });
        process.exit();
      });
    });
  } else {
    process.stdin.on('end', () => {
      const socket = new Socket({ fd: 3 });
      const send = (type, flags, stream, payload) => {
        const head = Buffer.alloc(9);
        head.writeUIntBE(payload.length, 0, 3);
        head[3] = type;
        head[4] = flags;
        head.writeUInt32BE(stream, 5);
        socket.write(Buffer.concat([head, payload]));
      };
      const literal = (name, value) =>
        Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
      send(4, 0, 0, Buffer.alloc(0));
      send(1, 4, 1, Buffer.concat([
        literal(':method', 'POST'), literal(':scheme', 'http'), literal(':authority', 'x'),
        literal(':path', method), literal('content-type', 'application/grpc'),
      ]));
      socket.on('close', () => process.exit()).resume();
    }).resume();
  }
`;

describe('a peer that has exited', () => {
  it('is refused though a child of it holds the connection (WLEP-9, SDS-22)', async () => {
    const server = await place.serve();
    const before = await place.refused('peer_gone');
    const { stdout, status: exit } = spawnSync(process.execPath, ['-e', HEIR, server.path]);
    expect(exit).toBe(0);
    place.defer(() => process.kill(Number(stdout)));
    // Its connection was queued before this one.
    await echo(place.dial());
    expect(await place.refused('peer_gone')).toBe(before + 1);
    expect(peers.size).toBe(1);
  });

  it('is refused each call that a child of it makes (WLEP-9, SDS-22)', async () => {
    const found: unknown[] = [];
    const server = await place.serve({
      services: [
        echoService({
          stream(stream) {
            try {
              found.push(peerOf(stream));
            } catch (error) {
              found.push(error);
            }
          },
        }),
      ],
    });
    const parent = spawn(
      process.execPath,
      ['-e', LATE_HEIR, server.path, echoMethods.stream.path],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, SCRIPT: LATE_HEIR },
      },
    );
    await once(parent, 'exit');
    // The child is a process that has to start first.
    await eventually('the child has called', () => found.length === 1);
    expect(found[0]).toMatchObject({
      code: 'ERR_PEER_GONE',
      message: expect.stringContaining(`process ${parent.pid} `),
    });
  });
});
