import { describe, expect, it } from 'vitest';
import { makeAuthority, testNow } from '../../test/fakes/test-certificates.ts';
import { bundleWith } from '../../test/fakes/test-messages.ts';
import { type Bundle, bundleDigest } from '../spiffe/index.ts';
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

function heard(said: Bundle) {
  const [issuedAt, expiresAt] = [testNow, testNow + HOUR_MS];
  return { sequence: said.sequenceNumber ?? 0n, digest: bundleDigest(said), issuedAt, expiresAt };
}

const before = bundleWith('a.test', 1n, [old]);
const published = { said: heard(bundle), before: bundle };

function decide(more: Partial<PublishState> = {}) {
  const nothing = { said: undefined, before: undefined, ahead: undefined };
  const state = { bundle, ...nothing, isStored: true, own, now: testNow, ...more };
  const decision = decidePublish({ ...state, digest: bundleDigest(state.bundle) });
  if (decision.type === 'wait') return decision;
  return decision.authorities.map(({ authorityId }) => authorityId);
}

describe('a server publishes the own bundle', () => {
  it('signed by all of its authorities when nothing was published before', () => {
    expect(decide()).toEqual(['young', 'old']);
  });

  it('at once when it is new, signed by those that stood in the one before (FED-21)', () => {
    expect(decide({ said: heard(before), before })).toEqual(['old']);
  });

  it('again at half of the life of its message, then by all that stand in it', () => {
    expect(decide(published)).toEqual({ type: 'wait', until: testNow + HOUR_MS / 2 });
    expect(decide({ ...published, now: testNow + HOUR_MS / 2 })).toEqual(['young', 'old']);
  });

  it('again when late readers would get something else', () => {
    expect(decide({ ...published, isStored: false })).toEqual(['young', 'old']);
  });

  it('when it is new, whatever was published by whoever stole a key', () => {
    const ahead = heard(bundleWith('a.test', 900n, []));
    expect(decide({ said: heard(before), before, ahead })).toEqual(['old']);
  });

  it('signed by none that is revoked, over, or not valid yet', () => {
    const with_ = (more: Partial<PublishingAuthority>) =>
      decide({ before: bundle, own: [authority(old, more), authority(young)] });
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
    const mine = { bundle: shared, own: [authority(young)] };
    const told = { before: bundleWith('a.test', 1n, [others]) };
    const until = testNow + 3 * 300_000;
    const waits = { type: 'wait', until, why: expect.any(String) };
    expect(decide({ ...mine, ...told })).toEqual(waits);
    expect(decide(mine)).toEqual(waits);
    expect(decide({ ...mine, ...told, now: until })).toEqual(['young']);
    expect(decide({ ...mine, before: shared })).toEqual(['young']);
  });

  it('while another one is ahead of what it sees of the store, for 10 s', () => {
    const late = { ...published, ahead: heard(bundleWith('a.test', 3n, [old])), isStored: false };
    const until = testNow + 10_000;
    expect(decide(late)).toEqual({ type: 'wait', until, why: expect.stringContaining('3') });
    expect(decide({ ...late, now: until })).toEqual(['young', 'old']);
  });

  it('and asks no sooner again when it has none that could sign, however long they were known', () => {
    const over = [authority(old, { publishedAt: 0, notAfter: testNow })];
    const waits = { type: 'wait', until: Number.POSITIVE_INFINITY, why: expect.any(String) };
    expect(decide({ own: over })).toEqual(waits);
  });

  it('while there is no bundle', () => {
    expect(decide({ bundle: { ...bundle, sequenceNumber: undefined } })).toMatchObject({
      type: 'wait',
    });
  });
});
