/** Envoy's external authorization: reads what a proxy asks, has the policies decide, and answers. */

export { assertionJwks } from './assertion-key-set.ts';
export { type AssertionKeys, loadAssertionKeys, openAssertionKeys } from './assertion-keys.ts';
export { type AssertionKey, AssertionSigner } from './assertion-signer.ts';
export { CallerReader, type TokenOptions } from './caller-reader.ts';
export { CheckHandler, type CheckRecord } from './check-handler.ts';
export {
  createDecisionLog,
  type DecisionLog,
  type DecisionSink,
} from './decision-log.ts';
export { createDecisionMetrics } from './decision-metrics.ts';
export type { XfccOptions } from './forwarded-callers.ts';
export { LineFile } from './line-file.ts';
export { PortWriter, servePort } from './port-writer.ts';
export { PolicyPromotion } from './promotion.ts';
export { type LineWriter, QueuedSink } from './queued-sink.ts';
export { StandardOutput } from './standard-output.ts';
export { type WrittenCheck, writeCheckRequest } from './write-check-request.ts';
