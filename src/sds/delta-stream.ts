import type { DeltaRequest } from './discovery-request.ts';
import { type StreamState, settle, type Verdict } from './stream-state.ts';

/**
 * Takes a request in. Subscriptions count whatever response it answers; a name that is subscribed to
 * is answered even if unchanged, save on the first request, where the client says what it holds.
 */
export function receiveDelta(
  state: StreamState,
  request: DeltaRequest,
): { readonly state: StreamState; readonly verdict: Verdict | undefined } {
  const settled = settle(state, request.nonce, request.refusal === undefined);
  if (!state.started) return { ...settled, state: start(settled.state, request) };
  if (request.subscribe.length === 0 && request.unsubscribe.length === 0) return settled;
  return { ...settled, state: subscribe(unsubscribe(settled.state, request), request) };
}

function start(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set(request.subscribe);
  const asked = names.delete('*');
  const wildcard = asked ? 'asked' : names.size === 0 ? 'implied' : 'none';
  const held = [...request.initialVersions].filter(
    ([name]) => wildcard !== 'none' || names.has(name),
  );
  return {
    ...state,
    started: true,
    wildcard,
    names,
    served: new Map(held),
    claimed: new Set(held.map(([name]) => name)),
  };
}

function unsubscribe(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set(state.names);
  const served = new Map(state.served);
  const wildcard = request.unsubscribe.includes('*') ? 'none' : state.wildcard;
  for (const name of request.unsubscribe) {
    if (!names.delete(name)) continue;
    // A wildcard may still cover the name; the client is told whether it does.
    if (wildcard === 'none') served.delete(name);
    else if (served.has(name)) served.set(name, '');
  }
  if (wildcard === 'none')
    for (const name of served.keys()) if (!names.has(name)) served.delete(name);
  return { ...state, wildcard, names, served };
}

function subscribe(state: StreamState, request: DeltaRequest): StreamState {
  const names = new Set(state.names);
  const served = new Map(state.served);
  let { wildcard } = state;
  for (const name of request.subscribe) {
    if (name === '*') {
      wildcard = 'asked';
      for (const held of served.keys()) if (!names.has(held)) served.delete(held);
    } else {
      names.add(name);
      served.delete(name);
    }
  }
  const kept = (name: string): boolean => served.has(name);
  return {
    ...state,
    wildcard,
    names,
    served,
    claimed: new Set([...state.claimed].filter(kept)),
    alone: new Set([...state.alone].filter((name) => names.has(name))),
  };
}
