import type { Secret, SecretRef } from './secret.ts';
import type { SecretView } from './secret-view.ts';
import { type StreamState, withAll, without } from './stream-state.ts';

/** Responses a client may leave unanswered before the oldest is forgotten. */
const MAX_FLIGHTS = 16;
/** A response is cut here, so that a client with the default limit of 4 MiB can take it. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

export interface SecretResponse {
  readonly nonce: string;
  readonly secrets: readonly Secret[];
  /** Names the client had and lost; delta alone can say so. */
  readonly removed: readonly string[];
}

/**
 * The next response that brings the client to `view`, if one is due. It depends on the state alone,
 * not on what led to it, so however many changes a slow stream sleeps through, it is sent the latest.
 */
export function respond(
  state: StreamState,
  view: SecretView,
  now: number,
): { readonly state: StreamState; readonly response: SecretResponse | undefined } {
  if (!state.started) return { state, response: undefined };
  const { secrets, removed, forgotten } = choose(findDue(state, view, now), state.alone);
  if (secrets.length === 0 && removed.length === 0) return { state, response: undefined };
  const nonce = state.nonce + 1;
  const refs = secrets.map(({ ref }) => ref);
  const fresh = refs.map(({ name }) => name).filter((name) => !state.holds.has(name));
  return {
    state: {
      ...state,
      ...give(state, refs, forgotten),
      nonce,
      flights: [...state.flights, { nonce, refs, fresh, sentAt: now }].slice(-MAX_FLIGHTS),
    },
    response: { nonce: String(nonce), secrets, removed },
  };
}

interface Due {
  readonly secrets: Secret[];
  readonly removed: string[];
  withdrawn: Secret | undefined;
}

interface Choice {
  readonly secrets: readonly Secret[];
  readonly removed: readonly string[];
  /** Taken back, so that it is news when it returns. */
  readonly forgotten: readonly string[];
}

/** What takes something back goes first and alone, so that nothing else can make the client refuse it. */
function choose({ withdrawn, removed, secrets }: Due, alone: ReadonlySet<string>): Choice {
  if (withdrawn !== undefined) {
    return { secrets: [withdrawn], removed: [], forgotten: [withdrawn.name] };
  }
  if (removed.length > 0) return { secrets: [], removed, forgotten: removed };
  return { secrets: takeBatch(secrets, alone), removed, forgotten: [] };
}

function findDue(state: StreamState, view: SecretView, now: number): Due {
  const due: Due = { secrets: [], removed: [], withdrawn: undefined };
  const wildcard = state.wildcard !== 'none';
  const wanted = wildcard ? new Set([...state.names, ...view.names]) : state.names;
  for (const name of wanted) {
    const found = view.resolve(name, now, state.declined.has(name));
    if (found === 'expired') continue;
    if (typeof found === 'object') {
      if (state.served.get(name) !== found.version) due.secrets.push(found);
    } else if (found === 'refused' || !state.claimed.has(name)) {
      addLost(due, state, view, name);
    }
  }
  if (wildcard) {
    for (const name of state.served.keys()) {
      if (!wanted.has(name)) addLost(due, state, view, name);
    }
  }
  return due;
}

/** Only what the client holds is removed: a removal of anything else would make Envoy go live without it. */
function addLost(due: Due, state: StreamState, view: SecretView, name: string): void {
  if (!state.served.has(name) || due.withdrawn !== undefined) return;
  due.withdrawn = view.withdrawal(name);
  if (due.withdrawn === undefined && state.holds.has(name)) due.removed.push(name);
}

function takeBatch(due: readonly Secret[], alone: ReadonlySet<string>): readonly Secret[] {
  const together = due.filter(({ name }) => !alone.has(name));
  if (together.length === 0) return due.slice(0, 1);
  let bytes = 0;
  const end = together.findIndex(({ sotw }, index) => {
    bytes += sotw.bytes;
    return index > 0 && bytes > MAX_RESPONSE_BYTES;
  });
  return end === -1 ? together : together.slice(0, end);
}

function give(
  state: StreamState,
  refs: readonly SecretRef[],
  forgotten: readonly string[],
): Pick<StreamState, 'served' | 'holds' | 'claimed'> {
  const served = new Map(state.served);
  for (const { name, version } of refs) served.set(name, version);
  for (const name of forgotten) served.delete(name);
  const names = refs.map(({ name }) => name);
  return {
    served,
    holds: without(withAll(state.holds, names), forgotten),
    claimed: without(state.claimed, [...names, ...forgotten]),
  };
}
