import {
  buildRevocationIndex,
  findRevocation,
  type Revocation,
  type RevocationSubject,
  type SpiffeId,
} from '../../src/spiffe/index.ts';
import type { RevocationSource } from '../../src/svid/index.ts';

/** Revocations in a list that tells of each change. */
export class FakeRevocations implements RevocationSource {
  readonly #list: Revocation[] = [];
  readonly #listeners = new Set<() => void>();

  get list(): readonly Revocation[] {
    return this.#list;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  add(fields: Pick<Revocation, 'kind' | 'value' | 'issuedBefore'>): void {
    const { kind, value, issuedBefore } = fields;
    const id = `${kind} ${value}`;
    this.#list.push({ ...fields, id, expiresAt: issuedBefore + 86_400_000, reason: 'for a test' });
    for (const listener of this.#listeners) listener();
  }

  /** Of all SVIDs of an ID that were issued until `now`, this millisecond included. */
  revokeId(spiffeId: SpiffeId, now: number): void {
    this.add({ kind: 'spiffe-id', value: spiffeId.toString(), issuedBefore: now + 1 });
  }

  find(subject: RevocationSubject): Revocation | undefined {
    return findRevocation(buildRevocationIndex(this.#list), subject);
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
