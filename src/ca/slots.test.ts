import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { buildCaTbs } from './ca-certificate.ts';
import { createSigningKey, generatePrivateKey } from './private-key.ts';
import { assembleCertificate } from './signature-algorithm.ts';
import { activate, nextStep, type RotationStep, type SlotFacts, without } from './slots.ts';
import { createX509Authority, type X509CaAuthority } from './x509-authority.ts';

const key = createSigningKey('k', 'ec-p256', await generatePrivateKey('ec-p256'));
const trustDomain = TrustDomain.parse('a.test');
const T0 = Date.parse('2026-01-01T00:00:00Z');
const LIFE_MS = 24 * 3_600_000;
const hours = (count: number): number => T0 + count * 3_600_000;
let made = 0;

/** Authorities of one key; each is told apart by an ID of its own. */
function authority(
  state: X509CaAuthority['state'],
  issuedAt: number,
  lifeMs: number = LIFE_MS,
): X509CaAuthority {
  const tbs = buildCaTbs({
    key,
    serialNumber: Uint8Array.of(1),
    notBefore: issuedAt - 30_000,
    notAfter: issuedAt + lifeMs,
    trustDomain,
  });
  const certificate = assembleCertificate(tbs, key.keyType, key.signNow(tbs));
  const fields = createX509Authority({ keyId: 'k', state, issuedAt, certificate });
  return { ...fields, authorityId: `authority-${made++}` };
}

type Facts = SlotFacts<X509CaAuthority>;
const untold = (): number => Number.POSITIVE_INFINITY;
const published: Facts = { isPublished: () => true, isRefused: () => false, knownAt: untold };
const active = authority('active', T0);
const prepared = authority('prepared', hours(12));

describe('nextStep with evidence', () => {
  const early = authority('prepared', hours(1));
  it.each<[string, X509CaAuthority, number, number, RotationStep<X509CaAuthority>]>([
    [
      'activates as soon as everybody knows it, but after a minute',
      prepared,
      0,
      hours(12) + 60_000,
      { type: 'activate', authority: prepared },
    ],
    [
      'lets it stand in the bundle for a minute though everybody knows it',
      prepared,
      0,
      hours(12) + 59_999,
      { type: 'wait', until: hours(12) + 60_000, next: 'activate' },
    ],
    [
      'waits for the instant from which everybody knows it',
      prepared,
      hours(14),
      hours(13),
      { type: 'wait', until: hours(14), next: 'activate' },
    ],
    [
      'does not wait beyond 5/6 of the life',
      prepared,
      hours(22),
      hours(13),
      { type: 'wait', until: hours(20), next: 'activate' },
    ],
    [
      'activates at 5/6 whoever may not know it',
      prepared,
      Number.POSITIVE_INFINITY,
      hours(20),
      { type: 'activate', authority: prepared },
    ],
    [
      'leaves one that was prepared early alone for half of the life',
      early,
      0,
      hours(3),
      { type: 'wait', until: hours(12), next: 'activate' },
    ],
    [
      'activates one that was prepared early at half of the life',
      early,
      0,
      hours(12),
      { type: 'activate', authority: early },
    ],
  ])('%s', (_, next, knownAt, now, step) => {
    const facts: Facts = { ...published, knownAt: () => knownAt };
    expect(nextStep([active, next], facts, now)).toEqual(step);
  });
});

describe('nextStep', () => {
  it.each<[string, readonly X509CaAuthority[], number, RotationStep<X509CaAuthority>]>([
    ['prepares the first authority', [], T0, { type: 'prepare' }],
    [
      'activates the first one at once',
      [prepared],
      hours(12),
      { type: 'activate', authority: prepared },
    ],
    [
      'waits until half of the life',
      [active],
      T0,
      { type: 'wait', until: hours(12), next: 'prepare' },
    ],
    ['prepares at half of the life', [active], hours(12), { type: 'prepare' }],
    [
      'waits until 5/6',
      [active, prepared],
      hours(13),
      { type: 'wait', until: hours(20), next: 'activate' },
    ],
    ['activates at 5/6', [active, prepared], hours(20), { type: 'activate', authority: prepared }],
    [
      'does nothing when the clock is set back a little',
      [active],
      T0 - 90_000,
      { type: 'wait', until: hours(12), next: 'prepare' },
    ],
    ['replaces an active one of a far future', [active], T0 - 90_001, { type: 'prepare' }],
    [
      'prunes a prepared one of a far future first',
      [active, prepared],
      hours(-99),
      { type: 'prune', authority: prepared },
    ],
    [
      'keeps the active one when only the prepared one is of a far future',
      [active, prepared],
      hours(1),
      { type: 'prune', authority: prepared },
    ],
    [
      'keeps an old one through its last second',
      [
        { ...active, state: 'old' },
        { ...prepared, state: 'active' },
      ],
      hours(24) + 999 - 3_600_000,
      { type: 'wait', until: hours(24), next: 'prepare' },
    ],
  ])('%s', (_, authorities, now, step) => {
    expect(nextStep(authorities, published, now)).toEqual(step);
  });

  it('publishes before anything else', () => {
    const step = nextStep(
      [active, prepared],
      { ...published, isPublished: (a) => a !== prepared },
      hours(23),
    );
    expect(step).toEqual({ type: 'publish', authority: prepared });
  });

  it('prunes an old authority one second after its notAfter, and not before', () => {
    const old = { ...active, state: 'old' } as const;
    const current = authority('active', hours(20));
    const before = nextStep([old, current], published, hours(24) + 999);
    expect(before).toEqual({ type: 'wait', until: hours(24) + 1000, next: 'prune' });
    const after = nextStep([old, current], published, hours(24) + 1000);
    expect(after).toEqual({ type: 'prune', authority: old });
  });

  it('prepares anew when active and prepared have expired', () => {
    const now = hours(1000);
    expect(nextStep([active, prepared], published, now)).toEqual({
      type: 'prune',
      authority: prepared,
    });
    expect(nextStep([active], published, now)).toEqual({ type: 'prepare' });
  });

  it('lets one that was prepared late stand in the bundle for a minute before it signs', () => {
    const late = authority('prepared', hours(21));
    const until = hours(21) + 60_000;
    expect(nextStep([active, late], published, hours(21))).toEqual({
      type: 'wait',
      until,
      next: 'activate',
    });
    expect(nextStep([active, late], published, until)).toEqual({
      type: 'activate',
      authority: late,
    });
  });

  it('gives it half of what is left of a life that ends sooner', () => {
    const short = authority('active', T0, 30_000);
    const late = authority('prepared', T0 + 26_000);
    const step = nextStep([short, late], published, T0 + 26_000);
    expect(step).toEqual({ type: 'wait', until: T0 + 28_000, next: 'activate' });
    const later = authority('prepared', T0 + 31_000);
    expect(nextStep([short, later], published, T0 + 31_000)).toMatchObject({ type: 'activate' });
  });

  it('prunes what is old and not in the bundle any more, whatever its age', () => {
    const old = { ...active, state: 'old' } as const;
    const current = authority('active', hours(1));
    const revoked = { ...published, isPublished: (a: X509CaAuthority) => a !== old };
    expect(nextStep([old, current], revoked, hours(2))).toEqual({ type: 'prune', authority: old });
  });

  it('counts life from the issue, not from the backdated notBefore', () => {
    const short = authority('active', T0, 10_000);
    expect(nextStep([short], published, T0)).toEqual({
      type: 'wait',
      until: T0 + 5_000,
      next: 'prepare',
    });
  });

  it('keeps the order and always has a valid authority that signs, whenever it is asked', () => {
    const waits = fc.array(fc.integer({ min: 1, max: 4 * LIFE_MS }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(waits, (waits) => {
        const server = new Model();
        let now = T0;
        for (const wait of [0, ...waits]) {
          now += wait;
          expect(server.stepsAt(now)).toBeLessThan(20);
          const signer = server.authorities.find(({ state }) => state === 'active');
          expect(signer?.parsed.notAfter).toBeGreaterThan(now);
          const ids = server.authorities.map(({ authorityId }) => authorityId);
          expect(server.bundle).toEqual(new Set(ids));
        }
        expect(server.faults).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });
});

/** Does what `nextStep` says, without failures. */
class Model {
  readonly bundle = new Set<string>();
  readonly faults: string[] = [];
  authorities: readonly X509CaAuthority[] = [];
  readonly #facts: Facts = {
    isPublished: ({ authorityId }) => this.bundle.has(authorityId),
    isRefused: () => false,
    knownAt: untold,
  };

  /** Goes on until there is nothing to do; returns the number of steps. */
  stepsAt(now: number): number {
    for (let steps = 0; steps < 20; steps++) {
      const step = nextStep(this.authorities, this.#facts, now);
      if (step.type === 'wait') {
        if (step.until <= now) this.faults.push('waits for the past');
        return steps;
      }
      this.#perform(step, now);
    }
    return 20;
  }

  #perform(step: Exclude<RotationStep<X509CaAuthority>, { type: 'wait' }>, now: number): void {
    if (step.type === 'prepare') {
      this.authorities = [...this.authorities, authority('prepared', now)];
      return;
    }
    const { authorityId, parsed } = step.authority;
    if (step.type === 'publish') this.bundle.add(authorityId);
    if (step.type === 'activate') {
      if (!this.bundle.has(authorityId)) this.faults.push('active before it is published');
      this.authorities = activate(this.authorities, authorityId);
    }
    if (step.type === 'prune') {
      if (parsed.notAfter > now) this.faults.push('pruned before it expired');
      this.bundle.delete(authorityId);
      this.authorities = without(this.authorities, authorityId);
    }
  }
}
