import type { EntryDraft } from '../entries/index.ts';
import { parseDurationMs } from '../ops/index.ts';
import { messageOf, quote, type Selector } from '../spiffe/index.ts';
import type { EntryDocument } from './document-schema.ts';
import type { DocumentFault } from './expand-template.ts';

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/u;

/** The draft of an entry, with what of its document cannot be read; that is left out of the draft. */
export interface ReadDraft {
  readonly draft: EntryDraft;
  readonly faults: readonly DocumentFault[];
}

/** Reads a plain document as a draft. */
export function readEntryDocument(document: EntryDocument): ReadDraft {
  const faults: DocumentFault[] = [];
  const read = <T>(path: readonly PropertyKey[], parse: () => T): T | undefined => {
    try {
      return parse();
    } catch (error) {
      faults.push({ path, message: messageOf(error) });
      return undefined;
    }
  };
  const { selectors, x509SvidTtl = 0, jwtSvidTtl = 0, expiresAt = 0 } = document;
  const draft: EntryDraft = {
    ...readPlain(document),
    selectors: selectors.map(splitSelector),
    x509SvidTtlSeconds: read(['x509SvidTtl'], () => readLifetime(x509SvidTtl)) ?? 0,
    jwtSvidTtlSeconds: read(['jwtSvidTtl'], () => readLifetime(jwtSvidTtl)) ?? 0,
    expiresAtSeconds: read(['expiresAt'], () => readInstant(expiresAt)) ?? 0,
  };
  return { draft, faults };
}

/** It is judged with the entry. */
function splitSelector(text: string): Selector {
  const colon = text.indexOf(':');
  if (colon === -1) return { type: text, value: '' };
  return { type: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** The fields that are the same in both. */
function readPlain(document: EntryDocument): Omit<EntryDraft, 'selectors'> {
  const { id, spiffeId, parentId, federatesWith, dnsNames, hint } = document;
  const { admin, downstream, storeSvid, disableX509SvidPrefetch, jwtSvidIncludeJti } = document;
  return {
    spiffeId,
    parentId,
    ...(id !== undefined && { id }),
    ...(federatesWith && { federatesWith }),
    ...(dnsNames && { dnsNames }),
    ...(hint !== undefined && { hint }),
    admin: admin ?? false,
    downstream: downstream ?? false,
    storeSvid: storeSvid ?? false,
    disableX509SvidPrefetch: disableX509SvidPrefetch ?? false,
    jwtSvidIncludeJti: jwtSvidIncludeJti ?? false,
  };
}

function readLifetime(value: string | number): number {
  if (typeof value === 'number') return value;
  const ms = parseDurationMs(value);
  if (ms % 1_000 === 0) return ms / 1_000;
  throw new Error(`expected whole seconds, got ${quote(value)}`);
}

function readInstant(value: string | number): number {
  if (typeof value === 'number') return value;
  const ms = INSTANT.test(value) ? Date.parse(value) : Number.NaN;
  if (ms % 1_000 === 0) return ms / 1_000;
  const expected = 'an instant of whole seconds such as 2027-01-31T12:00:00Z, or Unix seconds';
  throw new Error(`expected ${expected}, got ${quote(value)}`);
}
