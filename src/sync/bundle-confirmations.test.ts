import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { textBundle } from '../../test/fakes/test-updates.ts';
import { bundleDigest } from '../spiffe/index.ts';
import { type BundleConfirmation, BundleConfirmations } from './bundle-confirmations.ts';

const first = textBundle('a.test', ['one']);
const second = textBundle('a.test', ['one', 'two']);
const digests = { first: bundleDigest(first), second: bundleDigest(second) };

function open() {
  const clock = new FakeClock();
  const trust = new FakeTrustMap(first);
  const told: BundleConfirmation[] = [];
  const onConfirmed = (confirmation: BundleConfirmation) => void told.push(confirmation);
  const confirmations = new BundleConfirmations({ trust, clock, onConfirmed });
  onTestFinished(() => confirmations.close());
  clock.advance(0);
  return { clock, trust, confirmations, told: () => told.splice(0) };
}

describe('BundleConfirmations', () => {
  it('confirms at once while nobody has a bundle', () => {
    const { trust, clock, told } = open();
    expect(told()).toEqual([{ bundleDigest: digests.first, laggards: [] }]);
    trust.set(second);
    trust.set(second);
    expect(told()).toEqual([]);
    clock.advance(0);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [] }]);
  });

  it('confirms when the last stream has the bundle, and not before', () => {
    const { trust, clock, confirmations, told } = open();
    const [one, other] = [confirmations.join('one'), confirmations.join('other')];
    one.has(first);
    other.has(first);
    told();
    trust.set(second);
    one.has(second);
    other.lacks('has not answered');
    clock.advance(9_999);
    expect(told()).toEqual([]);
    other.has(second);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [] }]);
    clock.advance(60_000);
    expect(told()).toEqual([]);
  });

  it('waits for no stream that is gone', () => {
    const { trust, confirmations, told } = open();
    const one = confirmations.join('one');
    one.has(first);
    told();
    trust.set(second);
    one.leave();
    one.has(first);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [] }]);
  });

  it('names who is silent or refuses after ten seconds, and tells when they catch up', () => {
    const { trust, clock, confirmations, told } = open();
    const [silent, refusing] = [confirmations.join('silent'), confirmations.join('refusing')];
    silent.has(first);
    refusing.has(first);
    told();
    trust.set(second);
    silent.lacks('has not answered');
    refusing.lacks('refuses it: no');
    clock.advance(10_000);
    const laggard = { stream: 'refusing', reason: 'refuses it: no' };
    expect(told()).toEqual([
      {
        bundleDigest: digests.second,
        laggards: [{ stream: 'silent', reason: 'has not answered' }, laggard],
      },
    ]);
    silent.has(second);
    clock.advance(1_000);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [laggard] }]);
    refusing.leave();
    clock.advance(1_000);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [] }]);
  });

  it('is about the last of several bundles', () => {
    const { trust, clock, confirmations, told } = open();
    const one = confirmations.join('one');
    one.has(first);
    told();
    trust.set(second);
    clock.advance(9_000);
    trust.set(first);
    clock.advance(0);
    expect(told()).toEqual([{ bundleDigest: digests.first, laggards: [] }]);
    clock.advance(60_000);
    expect(told()).toEqual([]);
  });

  it('asks no stream about what streams are not given', () => {
    const { trust, clock, confirmations, told } = open();
    confirmations.join('one').has(first);
    told();
    const renumbered = { ...first, sequenceNumber: 9n };
    trust.set(renumbered);
    clock.advance(0);
    expect(told()).toEqual([{ bundleDigest: bundleDigest(renumbered), laggards: [] }]);
  });

  it('counts a stream that has a later bundle than the one that is waited for as behind it', () => {
    const { trust, clock, confirmations, told } = open();
    const one = confirmations.join('one');
    one.has(second);
    clock.advance(60_000);
    told();
    trust.set(second);
    clock.advance(0);
    expect(told()).toEqual([{ bundleDigest: digests.second, laggards: [] }]);
  });
});
