/** Speaks Envoy SDS: which secrets each caller may have, WorkloadUpdate → Secret bytes, made once per version. */
export { defaultSdsNames, type SdsNames } from './names.ts';
export { createSds, createSecretType, type SecretOptions } from './secret-type.ts';
