import {
  formatSelector,
  parseSelector,
  type RegistrationEntry,
  type SelectorSet,
  SpiffeId,
} from '../../src/spiffe/index.ts';
import type { EntitlementSource } from '../../src/svid/index.ts';

/** Entries in a map that tells of each change. */
export class FakeEntitlements implements EntitlementSource {
  readonly #entries = new Map<string, RegistrationEntry>();
  readonly #listeners = new Set<() => void>();
  #isComplete: boolean;

  constructor(isComplete = true) {
    this.#isComplete = isComplete;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  put(...entries: readonly RegistrationEntry[]): void {
    for (const entry of entries) this.#entries.set(entry.id, entry);
    for (const listener of this.#listeners) listener();
  }

  delete(...ids: readonly string[]): void {
    for (const id of ids) this.#entries.delete(id);
    for (const listener of this.#listeners) listener();
  }

  /** Oldest first. */
  all(): readonly RegistrationEntry[] {
    return [...this.#entries.values()].sort(
      (a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1),
    );
  }

  match(selectors: SelectorSet): readonly RegistrationEntry[] {
    return this.all().filter((entry) => selectors.includesAll(entry.selectors.map(formatSelector)));
  }

  get(entryId: string): RegistrationEntry | undefined {
    return this.#entries.get(entryId);
  }

  isComplete(): boolean {
    return this.#isComplete;
  }

  /** A new process begins with what was kept. */
  restart(isComplete: boolean): void {
    this.#listeners.clear();
    this.#isComplete = isComplete;
  }

  complete(): void {
    this.#isComplete = true;
    for (const listener of this.#listeners) listener();
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

let created = 0;

/** An entry `spiffe://a.test/<id>` for the selector `unix:uid:1000`; younger than those made before. */
export function fakeEntry(
  id: string,
  fields: Partial<Omit<RegistrationEntry, 'id' | 'selectors'>> & {
    readonly selectors?: readonly string[];
  } = {},
): RegistrationEntry {
  return {
    id,
    spiffeId: SpiffeId.parse(`spiffe://a.test/${id}`),
    parentId: SpiffeId.parse('spiffe://a.test/spire/agent/local/up'),
    x509SvidTtlSeconds: 0,
    jwtSvidTtlSeconds: 0,
    federatesWith: [],
    dnsNames: [],
    hint: '',
    admin: false,
    downstream: false,
    storeSvid: false,
    disableX509SvidPrefetch: false,
    jwtSvidIncludeJti: false,
    expiresAt: undefined,
    revisionNumber: 0,
    createdAt: ++created,
    ...fields,
    selectors: (fields.selectors ?? ['unix:uid:1000']).map(parseSelector),
  };
}
