import { describe, expect, it } from 'vitest';
import { type Kernel, linuxKernel } from './libc.ts';
import { selfTestPeerCredentials } from './self-test.ts';

const credentials = (change: object): Partial<Kernel> => ({
  peerCredentials: (socket) => ({ ...linuxKernel.peerCredentials(socket), ...change }),
});

describe('selfTestPeerCredentials', () => {
  it('passes on this machine (SDS-22)', async () => {
    await expect(selfTestPeerCredentials()).resolves.toBeUndefined();
  });

  it.each<[string, Partial<Kernel>]>([
    ['another pid', credentials({ pid: 1 })],
    ['another user', credentials({ uid: 4242 })],
    ['another group', credentials({ gid: 4242 })],
    ['no pid', credentials({ pid: 0 })],
    ['another start time', { startTime: () => '1' }],
    ['a process that is said to be dead', { isPidfdAlive: () => false }],
    ['bytes of another connection', { peek: (_socket, into) => into.fill(7).length }],
    ['no bytes at all', { peek: () => -1 }],
    [
      'a kernel that refuses',
      {
        peerCredentials: () => {
          throw new Error('EPERM');
        },
      },
    ],
  ])('refuses to serve with %s', async (_what, change) => {
    const kernel: Kernel = { ...linuxKernel, ...change };
    await expect(selfTestPeerCredentials(kernel)).rejects.toMatchObject({
      code: 'ERR_PEER_SELF_TEST',
    });
  });
});
