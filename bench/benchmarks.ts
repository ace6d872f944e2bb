import { agentSealedRestart } from './agent-sealed-restart.ts';
import { apply1000, apply1000Whole } from './apply-1000.ts';
import { attestStorm } from './attest-storm.ts';
import { auditIssue } from './audit-issue.ts';
import { authzBack } from './authz-kill.ts';
import { batchIssue } from './batch-issue.ts';
import { checkBenches } from './check-benches.ts';
import { coldStart } from './cold-start.ts';
import { domains1000Update } from './domains-1000.ts';
import { entries100kMemory, entries100kReady } from './entries-100k.ts';
import { entryToStream } from './entry-to-stream.ts';
import { envoyCheckCpu } from './envoy-check.ts';
import { rbacBenches } from './envoy-rbac.ts';
import { fleetDeleteToStream } from './fleet-delete-to-stream.ts';
import { fleetEntryToStream } from './fleet-entry-to-stream.ts';
import { jwtMint } from './jwt-mint.ts';
import { leafIssue } from './leaf-issue-ratio.ts';
import type { Benchmark } from './measurement.ts';
import { policyApply } from './policy-apply.ts';
import { policyEdit, policyEditOfAllToEnvoy, policyEditToEnvoy } from './policy-edit.ts';
import { policyCompile, policyDecide, policyMemory, policyWorst } from './policy-plan.ts';
import { revokeToAgent } from './revoke-to-agent.ts';
import { rootToForeignEnvoy, rootToForeignStream } from './root-to-foreign.ts';
import { rotationToEnvoy } from './rotation-to-envoy.ts';
import { sdsFanout, sdsStreamMemory } from './sds-fanout.ts';
import { sync1000 } from './sync-1000.ts';

/** Every figure of `npm run bench`, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  coldStart,
  agentSealedRestart,
  entryToStream,
  fleetEntryToStream,
  fleetDeleteToStream,
  revokeToAgent,
  sync1000,
  domains1000Update,
  entries100kReady,
  entries100kMemory,
  rotationToEnvoy,
  rootToForeignStream,
  rootToForeignEnvoy,
  sdsStreamMemory,
  sdsFanout,
  leafIssue,
  policyApply,
  apply1000,
  apply1000Whole,
  policyEdit,
  policyEditToEnvoy,
  policyEditOfAllToEnvoy,
  policyDecide,
  policyCompile,
  policyMemory,
  policyWorst,
  ...checkBenches,
  envoyCheckCpu,
  ...rbacBenches,
  authzBack,
  jwtMint,
  batchIssue,
  auditIssue,
  attestStorm,
];
