import { createSocket } from 'node:dgram';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createHostLookup, type HostLookupOptions } from './host-lookup.ts';

/** A name server that has one IPv4 address for each name in `test`, none for others, and for some says nothing. */
async function openNameServer() {
  const socket = createSocket('udp4');
  const silent: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const [name, end] = nameIn(query);
    if (name.startsWith('silent')) {
      silent.push(name);
      return;
    }
    const isKnown = name.endsWith('.test') && query.readUInt16BE(end) === 1;
    const header = Buffer.from(query.subarray(0, 12));
    header.writeUInt16BE(name.endsWith('.test') ? 0x8180 : 0x8183, 2);
    header.writeUInt16BE(isKnown ? 1 : 0, 6);
    header.writeUInt32BE(0, 8);
    const answer = Buffer.from('c00c00010001000000000004c0000201', 'hex');
    const parts = [header, query.subarray(12, end + 4), ...(isKnown ? [answer] : [])];
    socket.send(Buffer.concat(parts), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  return { server: `127.0.0.1:${socket.address().port}`, silent };
}

/** The name in a query, and where it ends. */
function nameIn(query: Buffer): [string, number] {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return [labels.join('.').toLowerCase(), at + 1];
}

function finding(host: string, options: HostLookupOptions): Promise<readonly LookupAddress[]> {
  const lookUp = createHostLookup(options);
  return new Promise((resolve, reject) =>
    lookUp(host, { all: true }, (error, addresses) => {
      if (error !== null) reject(error);
      else if (typeof addresses === 'string') reject(new Error('one address'));
      else resolve(addresses);
    }),
  );
}

it('finds what DNS has, while others are waited for that do not answer', async () => {
  const { server, silent } = await openNameServer();
  const options = { servers: [server] };
  const waiting = Array.from({ length: 20 }, (_, i) => finding(`silent${i}.test`, options));
  void Promise.allSettled(waiting);
  expect(await finding('b.test', options)).toEqual([{ address: '192.0.2.1', family: 4 }]);
  expect(silent.length).toBeGreaterThan(0);
});

it('asks the system for what DNS does not have', async () => {
  const { server } = await openNameServer();
  const found = await finding('localhost', { servers: [server], hostsFile: '/nonexistent' });
  expect(found.map(({ address }) => address)).toContain('127.0.0.1');
});

it('leaves names of the hosts file to the system', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-hosts-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const hostsFile = path.join(folder, 'hosts');
  writeFileSync(hostsFile, '# none.test\n127.0.0.1 localhost other # silent.test\n');
  const { server, silent } = await openNameServer();
  await finding('localhost', { servers: [server], hostsFile });
  expect(await finding('none.test', { servers: [server], hostsFile })).toHaveLength(1);
  expect(silent).toEqual([]);
});
