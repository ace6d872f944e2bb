import { describe, expect, it } from 'vitest';
import { dialUnix } from './dial-unix.ts';

describe('dialUnix', () => {
  it('names the absolute path', () => {
    expect(dialUnix('/run/trustplane/agent.sock').target).toBe('unix:/run/trustplane/agent.sock');
    expect(dialUnix('agent.sock').target).toBe(`unix:${process.cwd()}/agent.sock`);
  });

  it('refuses a path that no socket can have', () => {
    expect(() => dialUnix(`/${'x'.repeat(107)}`)).toThrow(
      expect.objectContaining({ code: 'ERR_SOCKET_PATH_TOO_LONG' }),
    );
  });
});
