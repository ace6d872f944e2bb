/** Speaks Envoy SDS: stream state machine, WorkloadUpdate → Secret bytes, made once per version. */
export { defaultSdsNames, type SdsNames } from './names.ts';
export { createSds, type SdsOptions } from './sds-server.ts';
