import { TrustplaneError } from '../../spiffe/index.ts';
import { checkAuthz } from './check-authz.ts';
import { checkHttp } from './check-http.ts';
import { checkJwt } from './check-jwt.ts';
import { checkListeners } from './check-listeners.ts';
import { checkRbac } from './check-rbac.ts';
import { checkSkips } from './check-skips.ts';
import { checkSources } from './check-sources.ts';
import { checkTls } from './check-tls.ts';
import { applyEdits, type ConfigEdit } from './config-edit.ts';
import type { ConfigNode } from './config-node.ts';
import { EnvoyView } from './envoy-view.ts';
import { findParts } from './find-parts.ts';
import { type Found, LintReport } from './lint-report.ts';
import type { LintSeverity } from './lint-rule.ts';
import { type LintCode, lintRules } from './lint-rules.ts';
import { maxConfigBytes, positionIn, readConfig } from './read-config.ts';

/** A dangerous setting: where it stands, what can happen, what to do. */
export interface EnvoyLintFinding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Of the field, with dots. */
  readonly path: string;
  readonly severity: LintSeverity;
  readonly code: LintCode;
  readonly message: string;
  readonly fix: string;
  /** Whether `fixEnvoy` removes it. */
  readonly isFixable: boolean;
}

export interface EnvoyLint {
  /** By file, line and column. */
  readonly findings: readonly EnvoyLintFinding[];
  /** Extensions that nothing is known about: the first of each. */
  readonly unknown: readonly UnknownExtension[];
}

export interface UnknownExtension {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly type: string;
}

/** A configuration and what it is called. */
export interface ConfigText {
  readonly file: string;
  readonly text: string;
}

const CHECKS = [
  checkTls,
  checkSources,
  checkListeners,
  checkHttp,
  checkAuthz,
  checkRbac,
  checkSkips,
  checkJwt,
] as const;
/** Of each file: fields that are added in places that were. */
const MAX_ROUNDS = 6;
const ROOTS = ['static_resources', 'dynamic_resources', 'admin', 'node', 'resources', 'configs'];

/**
 * Finds what is dangerous in configurations of Envoy: bootstraps, files of resources (LDS, CDS, RDS, ECDS), dumps. Files
 * without a bootstrap belong to the Envoy of the bootstrap beside them, if there is one alone.
 * @throws TrustplaneError ERR_YAML, ERR_ENVOY_CONFIG
 */
export function lintEnvoy(texts: readonly ConfigText[]): EnvoyLint {
  const roots = texts.map(readEnvoy);
  const unknown = roots.flatMap((root) =>
    [...findParts(root).unknown].map(([type, node]) => ({
      file: root.source.file,
      ...positionIn(root.source, node.range[0]),
      type,
    })),
  );
  const findings = check(roots).map(describe);
  return { findings: findings.toSorted(inOrder), unknown };
}

/**
 * The same texts with everything changed that needs no thought; comments and form stay. `texts` are in their order.
 * @throws TrustplaneError ERR_YAML, ERR_ENVOY_CONFIG
 */
export function fixEnvoy(texts: readonly ConfigText[]): {
  readonly texts: readonly ConfigText[];
  readonly changes: number;
} {
  let [current, changes] = [texts, 0];
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = check(current.map(readEnvoy));
    let made = 0;
    current = current.map(({ file, text }, index) => {
      const edits = found.flatMap(({ edit, root }): ConfigEdit[] =>
        edit === undefined || root !== index ? [] : [edit],
      );
      const fixed = applyEdits(text, edits);
      // What would be too long to be read again stays as it is.
      if (Buffer.byteLength(fixed.text) > maxConfigBytes) return { file, text };
      made += fixed.count;
      return { file, text: fixed.text };
    });
    if (made === 0) break;
    changes += made;
  }
  return { texts: current, changes };
}

interface Placed extends Found {
  /** The number of its file. */
  readonly root: number;
}

function readEnvoy({ text, file }: ConfigText): ConfigNode {
  const root = readConfig(text, file);
  if (ROOTS.some((name) => root.get(name) !== undefined) || findParts(root).parts.length > 0)
    return root;
  const found = root.members.map(({ key }) => key).slice(0, 3);
  throw new TrustplaneError(
    'ERR_ENVOY_CONFIG',
    `${file}: expected a configuration of Envoy (${ROOTS.slice(0, 2).join(', ')}, resources with @type), got ${found.length === 0 ? 'none of its fields' : found.join(', ')}`,
  );
}

function check(roots: readonly ConfigNode[]): readonly Placed[] {
  const isBootstrap = (root: ConfigNode): boolean =>
    root.get('static_resources') !== undefined || root.get('dynamic_resources') !== undefined;
  const isOne = roots.filter(isBootstrap).length <= 1;
  const groups = isOne
    ? [roots]
    : [
        ...roots.filter(isBootstrap).map((root) => [root]),
        roots.filter((one) => !isBootstrap(one)),
      ];
  return groups.flatMap((group) => {
    const envoy = new EnvoyView(group.flatMap((root) => findParts(root).parts));
    const report = new LintReport();
    for (const one of CHECKS) one(envoy, report);
    return onceEach(report.found).map((found) => ({
      ...found,
      root: roots.findIndex(({ source }) => source === found.node.source),
    }));
  });
}

/** What aliases stand for is found where they are, and told once. */
function onceEach(found: readonly Found[]): readonly Found[] {
  const seen = new Set<string>();
  const files = new Map<object, number>();
  return found.filter(({ code, node, path }) => {
    if (!files.has(node.source)) files.set(node.source, files.size);
    const key = `${files.get(node.source)} ${node.range[0]} ${code} ${path.at(-1)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function describe({ code, node, path, edit }: Placed): EnvoyLintFinding {
  const { severity, danger, fix } = lintRules[code];
  return {
    file: node.source.file,
    ...positionIn(node.source, node.range[0]),
    path: path.join('.'),
    severity,
    code,
    message: danger,
    fix,
    isFixable: edit !== undefined,
  };
}

function inOrder(a: EnvoyLintFinding, b: EnvoyLintFinding): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column || (a.code < b.code ? -1 : 1);
}
