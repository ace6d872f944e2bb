import { type EntryDraft, parseEntry } from '../entries/index.ts';
import {
  messageOf,
  type RegistrationEntry,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { DocumentFault } from './expand-template.ts';

export interface DraftRules {
  readonly trustDomain: TrustDomain;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** `spiffeId: …`, `selectors[2].value (unix:uid): …` */
const MESSAGE = /^(\w+)(?:\[(\d+)\])?[^:[]*(?:\([^)]*\))?: (.*)$/su;
const MAX_FAULTS = 256;
/** What an entry has that was not given an ID. */
const NO_ID = 'unnamed';

/** The entry that a draft makes. @throws TrustplaneError ERR_ENTRY_* */
export function entryOf(draft: EntryDraft, rules: DraftRules): RegistrationEntry {
  const stamp = { id: draft.id ?? NO_ID, revisionNumber: 0, createdAt: 0 };
  return parseEntry(draft, stamp, rules);
}

/** Undefined when something is wrong with the draft. */
export function tryEntry(draft: EntryDraft, rules: DraftRules): RegistrationEntry | undefined {
  try {
    return entryOf(draft, rules);
  } catch {
    return undefined;
  }
}

/** All that is wrong with a draft, by its fields: what is found is mended, and the rest judged again. */
export function findEntryFaults(draft: EntryDraft, rules: DraftRules): readonly DocumentFault[] {
  const faults: DocumentFault[] = [];
  const mended = new Draft(draft, rules.trustDomain);
  while (faults.length < MAX_FAULTS) {
    try {
      entryOf(mended.draft, rules);
      return faults;
    } catch (error) {
      if (!(error instanceof TrustplaneError)) throw error;
      const [, field = '', index, rest] = MESSAGE.exec(messageOf(error)) ?? [];
      const at = index === undefined ? undefined : Number(index);
      const message = rest ?? messageOf(error);
      faults.push({ path: mended.pathOf(field, at), message: message.replace('; got ', ', got ') });
      if (!mended.mend(field, at)) return faults;
    }
  }
  return faults;
}

type Lists = Required<Pick<EntryDraft, 'selectors' | 'federatesWith' | 'dnsNames'>>;

/** A draft whose mistakes are taken out one by one. */
class Draft {
  draft: EntryDraft;
  readonly #harmless: Readonly<Record<string, Partial<EntryDraft>>>;
  readonly #mended = new Set<string>();
  /** Where the items of a list stood at first. */
  readonly #places = new Map<string, number[]>();

  constructor(draft: EntryDraft, { id }: TrustDomain) {
    this.draft = draft;
    this.#harmless = {
      id: { id: NO_ID },
      spiffeId: { spiffeId: `${id}/x` },
      parentId: { parentId: `${id}/spire/server` },
      selectors: { selectors: [{ type: 'unix', value: 'uid:0' }] },
      x509SvidTtlSeconds: { x509SvidTtlSeconds: 0 },
      jwtSvidTtlSeconds: { jwtSvidTtlSeconds: 0 },
      federatesWith: { federatesWith: [] },
      dnsNames: { dnsNames: [] },
      hint: { hint: '' },
      expiresAt: { expiresAtSeconds: 0 },
      disableX509SvidPrefetch: { disableX509SvidPrefetch: false },
    };
    for (const [field, list] of Object.entries(this.#lists()))
      this.#places.set(field, [...list.keys()]);
  }

  pathOf(field: string, index: number | undefined): readonly PropertyKey[] {
    const name = field.replace(/Seconds$/u, '');
    const place = index === undefined ? undefined : this.#places.get(field)?.[index];
    return place === undefined ? [name] : [name, place];
  }

  /** False when nothing can be done about it. */
  mend(field: string, index: number | undefined): boolean {
    if (index !== undefined && (this.#places.get(field)?.length ?? 0) > 1) {
      this.#places.get(field)?.splice(index, 1);
      this.#drop(field, index);
      return true;
    }
    const harmless = this.#harmless[field];
    if (harmless === undefined || this.#mended.has(field)) return false;
    this.#mended.add(field);
    this.#places.delete(field);
    this.draft = { ...this.draft, ...harmless };
    return true;
  }

  #drop(field: string, index: number): void {
    const { selectors, federatesWith, dnsNames } = this.#lists();
    if (field === 'selectors')
      this.draft = { ...this.draft, selectors: selectors.toSpliced(index, 1) };
    if (field === 'federatesWith')
      this.draft = { ...this.draft, federatesWith: federatesWith.toSpliced(index, 1) };
    if (field === 'dnsNames')
      this.draft = { ...this.draft, dnsNames: dnsNames.toSpliced(index, 1) };
  }

  #lists(): Lists {
    const { selectors, federatesWith = [], dnsNames = [] } = this.draft;
    return { selectors, federatesWith, dnsNames };
  }
}
