import { describe, expect, it } from 'vitest';
import { Pacer } from './pacer.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('Pacer', () => {
  it('spreads wide pushes over turns, in order (SDS-24)', async () => {
    const pacer = new Pacer();
    const made: number[] = [];
    for (let i = 0; i < 150; i++) pacer.run(() => made.push(i));
    expect(made).toHaveLength(64);
    await turn();
    expect(made).toHaveLength(128);
    await turn();
    expect(made).toEqual(Array.from({ length: 150 }, (_, i) => i));
  });

  it('makes a waiting push once, and at once again in a new turn', async () => {
    const pacer = new Pacer();
    for (let i = 0; i < 64; i++) pacer.run(() => {});
    let made = 0;
    const push = () => void made++;
    pacer.run(push);
    pacer.run(push);
    expect(made).toBe(0);
    await turn();
    expect(made).toBe(1);
    await turn();
    pacer.run(push);
    expect(made).toBe(2);
  });

  it('makes no push that was taken back', async () => {
    const pacer = new Pacer();
    for (let i = 0; i < 64; i++) pacer.run(() => {});
    let made = 0;
    const push = () => void made++;
    pacer.run(push);
    pacer.forget(push);
    await turn();
    expect(made).toBe(0);
  });
});
