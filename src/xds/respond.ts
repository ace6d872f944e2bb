import { renewalOf } from './heartbeats.ts';
import { type Heartbeat, renewLeases, withoutLeases } from './leases.ts';
import type { Resource, ResourceRef } from './resource.ts';
import type { ResourceView } from './resource-view.ts';
import { type StreamState, withAll, without } from './stream-state.ts';

/** Responses a client may leave unanswered before the oldest is forgotten. */
const MAX_FLIGHTS = 16;
/** A response is cut here, so that a client with the default limit of 4 MiB can take it. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024;

export interface Response {
  readonly nonce: string;
  readonly resources: readonly Resource[];
  /** Names the client had and lost, or waits for in vain; delta alone can say so. */
  readonly removed: readonly string[];
  /** Delta alone. */
  readonly heartbeats: readonly Heartbeat[];
}

/** How what has a TTL is kept alive: by a heartbeat, or by sending the whole once more. */
export type Renewal = 'heartbeat' | 'whole';

/**
 * The next response that brings the client to `view`, if one is due. It depends on the state alone,
 * not on what led to it, so however many changes a slow stream sleeps through, it is sent the latest.
 */
export function respond(
  state: StreamState,
  view: ResourceView,
  now: number,
  renewal: Renewal,
): { readonly state: StreamState; readonly response: Response | undefined } {
  if (!state.started) return { state, response: undefined };
  const due = findDue(state, view, now, renewal);
  if (isNothing(due)) return { state, response: undefined };
  const choice = choose(due, state.alone);
  const { resources, removed, heartbeats } = choice;
  const nonce = state.nonce + 1;
  const refs = resources.map(({ ref }) => ref);
  const fresh = refs.map(({ name }) => name).filter((name) => !state.holds.has(name));
  return {
    state: {
      ...state,
      ...give(state, refs, choice, now),
      nonce,
      flights: [...state.flights, { nonce, refs, fresh, heartbeats, sentAt: now }].slice(
        -MAX_FLIGHTS,
      ),
    },
    response: { nonce: String(nonce), resources, removed, heartbeats },
  };
}

interface Due {
  readonly resources: Resource[];
  readonly removed: string[];
  /** Of those, what the client may never have had. */
  readonly absent: string[];
  readonly heartbeats: Heartbeat[];
  withdrawn: Resource | undefined;
}

function isNothing({ withdrawn, resources, removed, heartbeats }: Due): boolean {
  return withdrawn === undefined && resources.length + removed.length + heartbeats.length === 0;
}

interface Choice {
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  readonly absent: readonly string[];
  readonly heartbeats: readonly Heartbeat[];
  /** Taken back, so that it is news when it returns. */
  readonly forgotten: readonly string[];
}

const nothing: Choice = { resources: [], removed: [], absent: [], heartbeats: [], forgotten: [] };

/**
 * What takes something back goes first and alone, so that nothing else can make the client refuse it;
 * heartbeats last and alone, so that a refusal is of them.
 */
function choose(due: Due, alone: ReadonlySet<string>): Choice {
  const { withdrawn, removed, absent, resources, heartbeats } = due;
  if (withdrawn !== undefined) {
    return { ...nothing, resources: [withdrawn], forgotten: [withdrawn.name] };
  }
  if (removed.length > 0) return { ...nothing, removed, absent, forgotten: removed };
  if (resources.length > 0) return { ...nothing, resources: takeBatch(resources, alone) };
  return { ...nothing, heartbeats };
}

function findDue(state: StreamState, view: ResourceView, now: number, how: Renewal): Due {
  const due: Due = { resources: [], removed: [], absent: [], heartbeats: [], withdrawn: undefined };
  const wildcard = state.wildcard !== 'none';
  const wanted = wildcard ? new Set([...state.names, ...view.names]) : state.names;
  for (const name of wanted) {
    const found = view.resolve(name, now, state.declined.has(name));
    if (found === 'withheld') continue;
    if (typeof found === 'object') addFound(due, state, found, { now, how });
    else if (found === 'absent') addAbsent(due, state, view, name);
    else if (found === 'refused' || !state.claimed.has(name)) addLost(due, state, view, name);
  }
  if (wildcard) {
    for (const name of state.served.keys()) {
      if (!wanted.has(name)) addLost(due, state, view, name);
    }
  }
  return due;
}

function addFound(
  due: Due,
  state: StreamState,
  found: Resource,
  { now, how }: { readonly now: number; readonly how: Renewal },
): void {
  if (state.served.get(found.name) !== found.version) {
    due.resources.push(found);
    return;
  }
  const renewal = renewalOf(state, found, now);
  if (renewal === undefined) return;
  if (renewal !== 'whole' && how === 'heartbeat') due.heartbeats.push(renewal);
  else if (renewal === 'whole' || renewal.version === found.version) due.resources.push(found);
}

/** Once, until it is asked for anew. */
function addAbsent(due: Due, state: StreamState, view: ResourceView, name: string): void {
  addLost(due, state, view, name);
  if (due.withdrawn !== undefined || state.told.has(name)) return;
  due.absent.push(name);
  if (!due.removed.includes(name)) due.removed.push(name);
}

/** Only what the client holds is removed: a removal of anything else would make Envoy go live without it. */
function addLost(due: Due, state: StreamState, view: ResourceView, name: string): void {
  if (!state.served.has(name) || due.withdrawn !== undefined) return;
  due.withdrawn = view.withdrawal(name);
  if (due.withdrawn === undefined && state.holds.has(name)) due.removed.push(name);
}

function takeBatch(due: readonly Resource[], alone: ReadonlySet<string>): readonly Resource[] {
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
  refs: readonly ResourceRef[],
  { absent, heartbeats, forgotten }: Choice,
  now: number,
): Pick<StreamState, 'served' | 'holds' | 'claimed' | 'told' | 'leases'> {
  const served = new Map(state.served);
  for (const { name, version } of refs) served.set(name, version);
  for (const name of forgotten) served.delete(name);
  const names = refs.map(({ name }) => name);
  return {
    served,
    holds: without(withAll(state.holds, names), forgotten),
    claimed: without(state.claimed, [...names, ...forgotten]),
    told: withAll(without(state.told, names), absent),
    leases: renewLeases(withoutLeases(state.leases, forgotten), heartbeats, now),
  };
}
