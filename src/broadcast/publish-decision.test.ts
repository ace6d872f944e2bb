import { describe, expect, it } from 'vitest';
import { makeAuthority, testNow } from '../../test/fakes/test-certificates.ts';
import { bundleWith } from '../../test/fakes/test-messages.ts';
import { bundleDigest } from '../spiffe/index.ts';
import { decidePublish, type PublishState } from './publish-decision.ts';
import type { PublishingAuthority } from './publishing-authority.ts';

const HOUR_MS = 3_600_000;
const [old, young, others] = [await makeAuthority(), await makeAuthority(), await makeAuthority()];

function authority(
  certificate: { readonly der: Uint8Array },
  more: Partial<PublishingAuthority> = {},
): PublishingAuthority {
  return {
    authorityId: certificate === old ? 'old' : 'young',
    anchor: certificate.der,
    notBefore: testNow - HOUR_MS,
    notAfter: testNow + (certificate === old ? HOUR_MS : 2 * HOUR_MS),
    publishedAt: testNow,
    ...more,
  };
}

const bundle = bundleWith('a.test', 2n, [old, young]);
const own = [authority(old), authority(young)];

function lastOf(sequence: bigint, certificates: readonly { readonly der: Uint8Array }[]) {
  const said = bundleWith(
    'a.test',
    sequence,
    certificates.map((each) => ({ ...old, ...each })),
  );
  const [issuedAt, expiresAt] = [testNow, testNow + HOUR_MS];
  return { bundle: said, sequence, digest: bundleDigest(said), issuedAt, expiresAt };
}

function decide(more: Partial<PublishState> = {}) {
  const state = { bundle, last: undefined, isStored: true, own, now: testNow, ...more };
  const decision = decidePublish({ ...state, digest: bundleDigest(state.bundle) });
  if (decision.type === 'wait') return decision;
  return decision.authorities.map(({ authorityId }) => authorityId);
}

describe('a server publishes the own bundle', () => {
  it('signed by all of its authorities when nothing was published before', () => {
    expect(decide()).toEqual(['young', 'old']);
  });

  it('at once when it is new, signed by those that stood in the one before (FED-21)', () => {
    expect(decide({ last: lastOf(1n, [old]) })).toEqual(['old']);
  });

  it('again at half of the life of its message, then by all that stand in it', () => {
    const last = lastOf(2n, [old, young]);
    expect(decide({ last })).toEqual({ type: 'wait', until: testNow + HOUR_MS / 2 });
    expect(decide({ last, now: testNow + HOUR_MS / 2 })).toEqual(['young', 'old']);
  });

  it('again when late readers would get something else', () => {
    expect(decide({ last: lastOf(2n, [old, young]), isStored: false })).toEqual(['young', 'old']);
  });

  it('in place of another one with its number, as the store has it', () => {
    expect(decide({ last: lastOf(2n, [old]) })).toEqual(['old']);
  });

  it('signed by none that is revoked, over, or not valid yet', () => {
    const last = lastOf(1n, [old, young]);
    const with_ = (more: Partial<PublishingAuthority>) =>
      decide({ last, own: [authority(old, more), authority(young)] });
    expect(with_({})).toEqual(['young', 'old']);
    expect(with_({ publishedAt: undefined })).toEqual(['young']);
    expect(with_({ notAfter: testNow })).toEqual(['young']);
    expect(with_({ notBefore: testNow + 1 })).toEqual(['young']);
    expect(with_({ notAfter: testNow + 9_000 })).toEqual(['young']);
  });

  it('signed by the youngest and seven of the oldest of many', () => {
    const many = Array.from({ length: 12 }, (_, index) =>
      authority(old, {
        authorityId: `${index}`,
        notAfter: testNow + HOUR_MS + index,
        publishedAt: 0,
      }),
    );
    expect(decide({ own: many })).toEqual(['11', '6', '5', '4', '3', '2', '1', '0']);
  });
});

describe('a server leaves it to the others', () => {
  const shared = bundleWith('a.test', 2n, [others, young]);

  it('while it is new to the bundle, until those who poll have its authority', () => {
    const last = lastOf(1n, [others]);
    const until = testNow + 3 * 300_000;
    const mine = [authority(young)];
    const why = expect.any(String);
    expect(decide({ bundle: shared, own: mine, last })).toEqual({ type: 'wait', until, why });
    expect(decide({ bundle: shared, own: mine })).toEqual({ type: 'wait', until, why });
    expect(decide({ bundle: shared, own: mine, last, now: until })).toEqual(['young']);
    const seen = lastOf(1n, [others, young]);
    expect(decide({ bundle: shared, own: mine, last: seen })).toEqual(['young']);
  });

  it('while the broadcast is ahead of what it sees of the store', () => {
    expect(decide({ last: lastOf(3n, [old]) })).toMatchObject({
      type: 'wait',
      until: Number.POSITIVE_INFINITY,
      why: expect.stringContaining('3'),
    });
  });

  it('while there is no bundle', () => {
    expect(decide({ bundle: { ...bundle, sequenceNumber: undefined } })).toMatchObject({
      type: 'wait',
    });
  });
});
