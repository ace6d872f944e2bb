/** Speaks xDS to attested local processes: the streams, whole state and changes only, of whatever types there are. */
export {
  createAds,
  type DiscoveryGround,
  type DiscoveryService,
  serveType,
} from './discovery.ts';
export { loadDiscoveryMessages } from './discovery-messages.ts';
export type { ClientNode } from './discovery-request.ts';
export { createNackLog } from './nack-log.ts';
export { type Resource, type ResourceRef, sealResource } from './resource.ts';
export type { ResourceSession, ResourceType, XdsClient } from './resource-type.ts';
export type { Absence, ResourceView } from './resource-view.ts';
export type { Response } from './respond.ts';
export type { StreamState, Verdict } from './stream-state.ts';
export { createTypeMetrics, type TypeMetrics } from './type-metrics.ts';
