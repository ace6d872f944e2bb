import { expect, it } from 'vitest';
import { FakeAudit } from '../../test/fakes/fake-audit.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { RefusedAttestations } from './refused-attestations.ts';

const refusal = { attestor: 'join_token', code: 'ERR_JOIN_TOKEN', from: '192.0.2.1:4711' };

it('records a bounded number a minute, and then how many more there were', async () => {
  const audit = new FakeAudit();
  const clock = new FakeClock();
  const refused = new RefusedAttestations(audit, clock);
  for (let attempt = 0; attempt < 1_000; attempt++) await refused.record(refusal);
  expect(audit.events).toHaveLength(60);
  clock.advance(60_000);
  await refused.record(refusal);
  expect(audit.events.at(-1)).toEqual({
    kind: 'attestation',
    outcome: 'refused',
    ...refusal,
    unrecorded: 940,
  });
});

it('counts what could not be recorded', async () => {
  const audit = new FakeAudit();
  const refused = new RefusedAttestations(audit, new FakeClock());
  audit.failure = new Error('no room');
  await refused.record(refusal);
  await refused.record(refusal);
  audit.failure = undefined;
  await refused.record(refusal);
  expect(audit.events).toMatchObject([{ unrecorded: 2 }]);
});
