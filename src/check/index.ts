/** Envoy's external authorization: reads what a proxy asks, has the policies decide, and answers. */
export { CallerReader } from './caller-reader.ts';
export { CheckHandler } from './check-handler.ts';
export { createDecisionMetrics } from './decision-metrics.ts';
