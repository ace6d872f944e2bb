import { type Finding, finding } from './finding.ts';
import type { AttestorFacts, ProcessFacts, Situation } from './situation.ts';

/** What is wrong with the process itself, whatever the entries say. */
export function explainProcess({ process }: Situation): readonly Finding[] {
  if (process === undefined) return [];
  const { pid } = process;
  if (process.wasReplaced) {
    const message = `another process has pid ${pid} now; the one that opened the stream has exited`;
    return [
      finding('pid-reused', message, `trustplane explain --pid ${pid}, after it has connected`),
    ];
  }
  if (process.present === undefined) {
    const message = `there is no process ${pid} in the PID namespace of the agent`;
    return [finding('process-gone', message, `ps -p ${pid}; then ask with the pid it has now`)];
  }
  return [...explainChange(process), ...explainSilence(process)];
}

function explainChange({ reports, pid }: ProcessFacts): readonly Finding[] {
  const gone = reports.find(({ faultCode }) => faultCode === 'ERR_ATTEST_PROCESS_GONE');
  if (gone !== undefined) {
    return [
      finding('process-gone', `${gone.fault}`, `ps -p ${pid}; then ask with the pid it has now`),
    ];
  }
  const changed = reports.find(({ faultCode }) => faultCode === 'ERR_ATTEST_PROCESS_CHANGED');
  if (changed === undefined) return [];
  const next = `let process ${pid} connect after it has changed its user, or restart it`;
  return [finding('process-changed', `${changed.fault}`, next)];
}

function explainSilence({ reports, pid }: ProcessFacts): readonly Finding[] {
  const isChange = ({ faultCode }: AttestorFacts): boolean =>
    faultCode === 'ERR_ATTEST_PROCESS_GONE' || faultCode === 'ERR_ATTEST_PROCESS_CHANGED';
  if (reports.length === 0 || reports.some((one) => one.fault === undefined || isChange(one)))
    return [];
  const faults = reports.map(({ attestor, fault }) => `${attestor}: ${fault}`).join('; ');
  const message = `no attestor could tell anything about process ${pid}: ${faults}`;
  return [
    finding(
      'attestation-failed',
      message,
      `trustplane log-level set debug --agent, then ask again`,
    ),
  ];
}

/** An attestor that said nothing, where something of its kind is wanted. */
export function explainAttestors(
  { process }: Situation,
  wantedTypes: ReadonlySet<string> | undefined,
): readonly Finding[] {
  return (process?.reports ?? []).flatMap(({ attestor, fault, faultCode, tookMs }) => {
    if (fault === undefined || wantedTypes?.has(attestor) === false) return [];
    const isLate = faultCode === 'ERR_ATTEST_TIMEOUT';
    const message = isLate
      ? `the attestor ${attestor} took too long (${tookMs} ms), so there are no ${attestor} selectors`
      : `the attestor ${attestor} failed, so there are no ${attestor} selectors: ${fault}`;
    const next = `${CHECKS[attestor] ?? `see the log of the agent for "an attestor failed"`}; then let the workload ask again`;
    return [finding(isLate ? 'attestor-timed-out' : 'attestor-failed', message, next)];
  });
}

const CHECKS: Readonly<Record<string, string | undefined>> = {
  docker: 'docker info',
  k8s: 'kubectl get --raw /healthz, and the kubelet of this node',
  systemd: 'systemctl is-system-running',
};
