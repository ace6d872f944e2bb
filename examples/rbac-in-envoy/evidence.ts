import { readFileSync } from 'node:fs';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import { exports } from './checks.ts';
import type { Place, Sidecar } from './launch.ts';

/** How many requests Envoy counted that a rule of the draft would decide. */
export interface DraftCount {
  readonly rule: string;
  readonly outcome: 'allowed' | 'denied';
  readonly count: number;
}

/** Those that drafts/reports.yaml has. */
export const draftRules = ['reports-closed', 'batch-counts'] as const;

/** Of the rules of the draft, at one Envoy. */
export async function draftCounts({ envoy }: Sidecar): Promise<readonly DraftCount[]> {
  const found = await envoy.stats('tp_draft_');
  return [...found].flatMap(([name, count]) => {
    const [, called, outcome] = name.match(/policy\.(.+)\.shadow_(allowed|denied)$/u) ?? [];
    const rule = draftRules.find((one) => one === called);
    if (rule === undefined || count === 0) return [];
    return [{ rule, outcome: outcome === 'allowed' ? outcome : 'denied', count }];
  });
}

/** Who decided, by the access logs. */
export interface Deciders {
  readonly envoy: number;
  readonly check: number;
  /** Check did not answer. */
  readonly nobody: number;
}

/** A line of an access log, and what `trustplane policy explain` says of it. */
export interface Explained {
  readonly line: LogLine;
  readonly text: string;
}

/** What both Envoys logged. */
export interface Evidence {
  readonly deciders: Deciders;
  /** The line of a request that a rule denied. */
  readonly denied: Explained;
  /** The name by which the revoked caller was denied. */
  readonly revokedBy: string;
}

interface LogLine {
  readonly method?: string;
  readonly path?: string;
  readonly status?: number;
  readonly details?: string;
  readonly rbac?: { readonly tp_enforced_effective_policy_id?: string } | null;
  readonly extAuthz?: { readonly reason?: string; readonly rule?: string } | null;
}

/** Ends both Envoys, which is when they write their last lines, and reads the logs. */
export async function readEvidence({ sidecars, policies }: Place): Promise<Evidence> {
  await Promise.all(sidecars.map(async ({ envoy }) => await envoy.stop()));
  const lines = sidecars.flatMap(({ accessLog }) =>
    readFileSync(accessLog, 'utf8').trim().split('\n'),
  );
  const parsed = lines.map((line): LogLine => JSON.parse(line));
  const at = parsed.findLastIndex(
    (one) => one.path === exports.line.split(' ')[1] && nameOf(one) === 'nobody-exports',
  );
  const line = lines[at] ?? '';
  const flags = ['--access-log', line];
  const { stdout, stderr } = await runTrustplane('policy', 'explain', policies, ...flags);
  const revoked = parsed.map(nameOf).find((name) => name === 'revoked');
  return {
    deciders: countDeciders(parsed),
    denied: { line: parsed[at] ?? {}, text: (stdout + stderr).trim() },
    revokedBy: revoked ?? '',
  };
}

function nameOf({ rbac, extAuthz }: LogLine): string | undefined {
  return extAuthz?.rule ?? extAuthz?.reason ?? rbac?.tp_enforced_effective_policy_id;
}

function countDeciders(lines: readonly LogLine[]): Deciders {
  const check = lines.filter(({ extAuthz }) => extAuthz?.reason !== undefined).length;
  const nobody = lines.filter(({ details }) => details === 'ext_authz_error').length;
  return { envoy: lines.length - check - nobody, check, nobody };
}
