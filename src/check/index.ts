/** Envoy's external authorization: reads what a proxy asks, has the policies decide, and answers. */
export { type AssertionKey, AssertionSigner } from './assertion-signer.ts';
export { CallerReader, type TokenOptions } from './caller-reader.ts';
export { CheckHandler } from './check-handler.ts';
export { createDecisionMetrics } from './decision-metrics.ts';
export type { XfccOptions } from './forwarded-callers.ts';
