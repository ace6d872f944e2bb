/** Envoy's external authorization: reads what a proxy asks, has the policies decide, and answers. */
export { type Caller, CallerReader, type CallerReaderOptions } from './caller-reader.ts';
export { CheckHandler, type CheckHandlerOptions, type CheckRecord } from './check-handler.ts';
