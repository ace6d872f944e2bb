/** The servers of one control plane: each with its ID for itself, known to the others, and with it what its agents have. */
export { type Behind, type Evidence, fingerprintOf } from './evidence.ts';
export { type AwaitedAuthority, checkOthers, joinVerdicts, type Verdict } from './others-gate.ts';
export type { PolicyReport } from './policy-report.ts';
export { findRunningServer } from './running-servers.ts';
export { ServerDirectory, type ServerDirectoryOptions } from './server-directory.ts';
export { isServerId, type ServerRecord } from './server-record.ts';
export type { SeenServer } from './server-view.ts';
