import { expect, it } from 'vitest';
import { echoService } from '../../test/fakes/echo-service.ts';
import { echo, UnixPlace } from '../../test/fakes/unix-place.ts';
import { callerOf } from './caller.ts';

it('names the process of a call on a Unix socket', async () => {
  const place = new UnixPlace();
  const service = echoService({
    unary(call, respond) {
      const caller = callerOf(call);
      respond(null, Buffer.from(caller.kind === 'local' ? String(caller.peer.pid) : caller.kind));
    },
  });
  await place.serve({ services: [service] });
  expect(await echo(place.dial())).toBe(String(process.pid));
  await place.close();
});

it('knows nobody by an address, whatever it looks like', () => {
  for (const peer of ['127.0.0.1:443', 'unknown', 'tls-0', 'tls-1']) {
    expect(() => callerOf({ getPeer: () => peer })).toThrow(
      expect.objectContaining({ code: 'ERR_PEER_UNKNOWN' }),
    );
  }
});
