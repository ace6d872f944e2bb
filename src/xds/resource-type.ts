import type { WorkloadUpdate } from '../spiffe/index.ts';
import type { ClientNode } from './discovery-request.ts';
import type { NackLog } from './nack-log.ts';
import type { ResourceView } from './resource-view.ts';
import type { Response } from './respond.ts';
import type { StreamState, Verdict } from './stream-state.ts';
import type { TypeMetrics } from './type-metrics.ts';

/** A kind of resources that is served: which there are, who may have them, and how they are encoded. */
export interface ResourceType {
  readonly typeUrl: string;
  readonly metrics: TypeMetrics;
  readonly nacks: NackLog;
  /** A client begins to ask. @throws TrustplaneError to end its stream */
  open(client: XdsClient): ResourceSession;
}

/** Who asks. */
export interface XdsClient {
  readonly pid: number;
  /** What it says of itself, once per stream. Not to be kept whole. */
  readonly node: ClientNode | undefined;
  /** To be called when a name would be resolved to something else, though no update came. Never within `view`. */
  readonly onChange: () => void;
}

/** The resources of one type for one client, as long as it is there. */
export interface ResourceSession {
  /** What the caller may see; asked before each decision. */
  view(update: WorkloadUpdate): ResourceView;
  /** This goes to the client now. */
  sent(response: Response): void;
  /** The client has answered; `refusal`: why it refuses what it was sent. */
  settled(verdict: Verdict, refusal: string | undefined): void;
  /** All is sent that may be for now. */
  report(state: StreamState, view: ResourceView, update: WorkloadUpdate, now: number): void;
  close(): void;
}
