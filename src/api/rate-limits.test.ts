import { EventEmitter } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { loadService } from '../wire/index.ts';
import { TlsPeer, tlsPeers } from '../wire/tls-peers.ts';
import { RateLimits } from './rate-limits.ts';

/** RenewAgent with one call a second; what is handled is noted. */
function open() {
  const clock = new FakeClock();
  const rates = { attestation: 0, signing: 1, jwtSigning: 0 };
  const limits = new RateLimits({ rates, clock, metrics: createMetrics(), log: silentLog });
  const handled: string[] = [];
  const { implementation } = limits.guard({
    definition: loadService(
      'spire/api/server/agent/v1/agent.proto',
      'spire.api.server.agent.v1.Agent',
    ),
    implementation: {
      RenewAgent: ({ request }: { request: string }) => void handled.push(request),
    },
  });
  const peer = tlsPeers.add(new TlsPeer('192.0.2.1', undefined));
  onTestFinished(() => tlsPeers.remove(peer));
  const call = (name: string, cancelled = false) => {
    const made = Object.assign(new EventEmitter(), {
      request: name,
      cancelled,
      getPeer: () => peer,
    });
    Reflect.apply(Object(implementation['RenewAgent']), undefined, [made, () => {}]);
    return made;
  };
  return { clock, handled, call };
}

describe('rate limits', () => {
  it('hold no place for a call that was cancelled before it could wait', async () => {
    const { clock, handled, call } = open();
    call('1');
    call('gone', true);
    call('2');
    await clock.advanceAsync(1_000);
    expect(handled).toEqual(['1', '2']);
  });

  it('give the place of a call that is cancelled while it waits to the next', async () => {
    const { clock, handled, call } = open();
    call('1');
    const leaving = call('gone');
    call('2');
    leaving.emit('cancelled', 'cancelled');
    await clock.advanceAsync(1_000);
    expect(handled).toEqual(['1', '2']);
  });
});
