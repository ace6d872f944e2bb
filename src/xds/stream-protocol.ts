import { receiveDelta } from './delta-stream.ts';
import type { DiscoveryMessages } from './discovery-messages.ts';
import {
  type CodeFamily,
  type DeltaRequest,
  type DiscoveryRequest,
  parseDeltaRequest,
  parseSotwRequest,
  type SotwRequest,
} from './discovery-request.ts';
import type { ResourceView } from './resource-view.ts';
import { type Response, respond } from './respond.ts';
import { receiveSotw, respondSotw } from './sotw-stream.ts';
import type { StreamState, Verdict } from './stream-state.ts';

export type StreamKind = 'sotw' | 'delta';

export type Respond = (
  state: StreamState,
  view: ResourceView,
  now: number,
) => { readonly state: StreamState; readonly response: Response | undefined };

/** What SotW and delta do differently. */
export interface StreamProtocol<Request extends DiscoveryRequest> {
  readonly kind: StreamKind;
  readonly parse: (bytes: Uint8Array) => Request;
  readonly receive: (
    state: StreamState,
    request: Request,
    now: number,
  ) => { readonly state: StreamState; readonly verdict: Verdict | undefined };
  readonly respond: Respond;
}

export function sotwProtocol(
  { sotwRequest }: DiscoveryMessages,
  codes: CodeFamily,
): StreamProtocol<SotwRequest> {
  return {
    kind: 'sotw',
    parse: (bytes) => parseSotwRequest(sotwRequest, bytes, codes),
    receive: receiveSotw,
    respond: respondSotw,
  };
}

export function deltaProtocol(
  { deltaRequest }: DiscoveryMessages,
  codes: CodeFamily,
): StreamProtocol<DeltaRequest> {
  return {
    kind: 'delta',
    parse: (bytes) => parseDeltaRequest(deltaRequest, bytes, codes),
    receive: receiveDelta,
    respond: (state, view, now) => respond(state, view, now, 'heartbeat'),
  };
}
