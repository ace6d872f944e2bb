import type { OperationDocument, PolicyDocument, RuleDocument, Texts } from './policy-document.ts';

/** What is asked, as somebody sees it who watches the wire. */
export interface Question {
  readonly service: { readonly id?: string; readonly extension?: string };
  readonly caller: { readonly id: string } | 'nobody' | 'bad_svid' | 'unknown_trust_domain';
  /** Undefined: a connection. */
  readonly http?: {
    readonly method: string;
    readonly target: string;
    readonly host: string;
    readonly lines: readonly (readonly [name: string, value: string])[];
  };
  readonly sourceIp: string;
  readonly destinationIp: string;
  readonly port: number;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly now: number;
}

export interface Verdict {
  readonly reason: string;
  /** policy/rule, where a rule decided. */
  readonly rule?: string;
  /** Headers that some policy of the service maps: with a value, or none. */
  readonly owned: ReadonlyMap<string, string | undefined>;
  /** policy/rule, sorted. */
  readonly observed: readonly string[];
}

interface Match {
  readonly policy: PolicyDocument;
  readonly rule: RuleDocument;
  readonly name: string;
  /** What captures stand for, in each way that the rule matches. */
  readonly captured: readonly Readonly<Record<string, string>>[];
}

/** Of a path, as it is written: an escape is three. */
const CHARACTER = '[^/\\n]';
const ANYTHING = '[^\\n]*';
const SOMETHING = '[^\\n]+';

/**
 * The reference of policies (docs/reference/policy.md) a second time: each rule becomes regular
 * expressions over one line of text, and every rule is tried. Shares nothing with the engine.
 * @param isInShare whether a canary of so many percent has the caller
 */
export function evaluate(
  documents: readonly PolicyDocument[],
  question: Question,
  isInShare: (id: string, percent: number) => boolean,
): Verdict {
  const policies = documents.filter(({ service }) => isFor(service, question));
  const names = policies.flatMap(({ rules }) => rules.flatMap(({ map = {} }) => Object.keys(map)));
  const none = new Map(names.map((name) => [name, undefined]));
  const denied = (reason: string, rule?: string, observed: readonly string[] = []): Verdict => ({
    reason,
    ...(rule !== undefined && { rule }),
    owned: none,
    observed,
  });
  if (policies.length === 0) return denied('policy_missing');
  const { caller, http } = question;
  if (caller === 'bad_svid' || caller === 'unknown_trust_domain') return denied(caller);
  const takesMatrix = policies.every(({ request }) => request?.path.matrixParameters === 'allow');
  if (http !== undefined && isAmbiguous(http.target.replace(/\?.*$/su, ''), takesMatrix))
    return denied('non_canonical_path');
  if (http !== undefined && isAmbiguousHost(http.host)) return denied('non_canonical_host');
  const matches = policies
    .flatMap((policy) => policy.rules.map((rule) => match(policy, rule, question)))
    .filter((found) => found !== undefined)
    .sort(
      (a, b) =>
        order(a.policy.metadata.name, b.policy.metadata.name) || order(a.rule.id, b.rule.id),
    );
  const isEnforced = ({ policy: { mode } }: Match): boolean => {
    if (mode === undefined || mode.stage === 'enforce') return true;
    if (mode.stage === 'observe' || typeof caller === 'string') return false;
    return isInShare(caller.id, mode.percent ?? 0);
  };
  const observed = matches
    .filter((found) => !isEnforced(found))
    .map(({ name }) => name)
    .sort();
  const enforced = matches.filter(isEnforced);
  const denying = enforced.find(({ rule }) => rule.deny !== undefined);
  if (denying !== undefined) return denied('denied_by_rule', denying.name, observed);
  const [allowing] = enforced;
  if (allowing === undefined)
    return denied(caller === 'nobody' ? 'unauthenticated' : 'no_rule_matched', undefined, observed);
  const owned = mapped(enforced, question, names);
  if (owned === undefined) return denied('mapping_conflict', allowing.name, observed);
  return { reason: 'allowed_by_rule', rule: allowing.name, owned, observed };
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isFor(service: PolicyDocument['service'], { service: asked }: Question): boolean {
  if (typeof service === 'object') return service.contextExtension === asked.extension;
  return asked.id !== undefined && compiled(idExpression(service)).test(asked.id);
}

function hostOf(host: string): string {
  return host.toLowerCase().replace(/:\d*$/u, '').replace(/\.$/u, '');
}

/** Servers may take it for another host. */
function isAmbiguousHost(written: string): boolean {
  if (written === '') return false;
  const host = hostOf(written);
  if (host.startsWith('[')) return !/^[0-9a-f:.]+\]$/u.test(host.slice(1));
  return host.split('.').some((label) => label === '' || /[^a-z0-9_-]/u.test(label));
}

/** Servers may take it for another path. */
function isAmbiguous(path: string, takesMatrix: boolean): boolean {
  if (path.length > 8_192) return true;
  if (!/^\/[!-~]*$/u.test(path) || /\/\/|\\|#/u.test(path)) return true;
  if (!takesMatrix && path.includes(';')) return true;
  const escapes = path.match(/%.{0,2}/gu) ?? [];
  if (escapes.some((escape) => !/^%[0-9a-f]{2}$/iu.test(escape))) return true;
  if (escapes.some((escape) => /[/\\\0A-Za-z0-9._~-]/u.test(decodeByte(escape)))) return true;
  return path.split('/').some((segment) => /^(?:\.{1,2}$|\.{0,2};)/u.test(segment));
}

function decodeByte(escape: string): string {
  return String.fromCharCode(Number.parseInt(escape.slice(1), 16));
}

function match(policy: PolicyDocument, rule: RuleDocument, question: Question): Match | undefined {
  const isDeny = rule.deny !== undefined;
  const callers = callerExpressions(policy, rule.from, question);
  if (!isWhen(rule, question, isDeny)) return undefined;
  const captured = (rule.allow ?? rule.deny ?? []).flatMap((operation) =>
    callers.flatMap((caller) => matchOperation(operation, caller, question, isDeny)),
  );
  const name = `${policy.metadata.name}/${rule.id}`;
  return captured.length === 0 ? undefined : { policy, rule, name, captured };
}

/** None when nobody of `from` can be the caller. */
function callerExpressions(
  { sets = {} }: PolicyDocument,
  from: RuleDocument['from'],
  { caller }: Question,
): readonly string[] {
  if (from === 'anyone') return [ANYTHING];
  if (from === 'authenticated') return [SOMETHING];
  const { ids, except = [] } = 'ids' in from ? from : { ids: from };
  const spelled = (list: readonly string[]): readonly string[] =>
    list.flatMap((id) => (id.startsWith('$') ? (sets[id.slice(1)] ?? []) : [id]));
  const excluded = spelled(except).some(
    (id) => typeof caller === 'object' && compiled(idExpression(id)).test(caller.id),
  );
  return excluded ? [] : spelled(ids).map((id) => idExpression(id));
}

const expressions = new Map<string, RegExp>();

function compiled(text: string, flags: string = 'u'): RegExp {
  const key = `${flags} ${text}`;
  const expression = expressions.get(key) ?? new RegExp(`^(?:${text})$`, flags);
  expressions.set(key, expression);
  return expression;
}

/** Of captures the later ones of a name refer to the first. */
function linked(expression: string): RegExp {
  const seen = new Set<string>();
  const text = expression.replaceAll(
    /\(\?<(\w+)>(?:\[[^\]]*\]|\(\?:[^)]*\))\+\)/gu,
    (whole, name: string) => {
      if (seen.has(name)) return `\\k<${name}>`;
      seen.add(name);
      return whole;
    },
  );
  return compiled(text);
}

function matchOperation(
  operation: OperationDocument,
  caller: string,
  question: Question,
  isDeny: boolean,
): readonly Readonly<Record<string, string>>[] {
  const { http, port } = question;
  const { methods, paths, hosts, port: ports, query, grpc } = spelledOut(operation);
  if (ports !== undefined && ![ports].flat().includes(port)) return [];
  const id = typeof question.caller === 'object' ? question.caller.id : '';
  const needsHttp = [methods, paths, hosts, query, grpc].some((field) => field !== undefined);
  if (http === undefined) {
    return needsHttp ? [] : found(linked(`${caller}\\n\\n`), `${id}\n\n`);
  }
  const method = isDeny ? http.method.toUpperCase() : http.method;
  if (methods !== undefined && !methods.includes('ANY') && !methods.includes(method)) return [];
  if (grpc !== undefined && (method !== 'POST' || !(isDeny || isGrpc(http)))) return [];
  if (query !== undefined && !isQuery(http.target, query, isDeny)) return [];
  const [path = ''] = http.target.split('?', 1);
  const host = hostOf(http.host);
  const places = (grpc?.map((name) => `/${name}`) ?? paths)?.map(pathExpression) ?? [ANYTHING];
  const sites = hosts?.map(hostExpression) ?? [ANYTHING];
  const seen = isDeny ? [path, path.replace(/;[^/]*/gu, '')] : [path];
  return [...new Set(seen)].flatMap((one) =>
    places.flatMap((place) =>
      sites.flatMap((site) =>
        found(linked(`${caller}\\n${place}\\n${site}`), `${id}\n${one}\n${host}`),
      ),
    ),
  );
}

function found(expression: RegExp, text: string): readonly Readonly<Record<string, string>>[] {
  const result = expression.exec(text);
  return result === null ? [] : [{ ...result.groups }];
}

function spelledOut(operation: OperationDocument): Exclude<OperationDocument, string> {
  if (typeof operation === 'object') return operation;
  const [first = '', second] = operation.split(' ');
  return second === undefined ? { paths: [first] } : { methods: [first], paths: [second] };
}

function isGrpc({ lines }: NonNullable<Question['http']>): boolean {
  const types = lines.filter(([name]) => name.toLowerCase() === 'content-type');
  return (
    types.length > 0 &&
    types.every(([, value]) => /^application\/grpc(?:[+;].*)?$/u.test(value))
  );
}

function isQuery(target: string, query: Readonly<Record<string, Texts>>, isDeny: boolean): boolean {
  const parameters = new URLSearchParams(
    target.includes('?') ? target.replace(/^[^?]*\?/u, '') : '',
  );
  return Object.entries(query).every(([name, texts]) =>
    areSome(parameters.getAll(name), texts, isDeny ? 'some' : 'every'),
  );
}

function areSome(values: readonly string[], texts: Texts, which: 'every' | 'some'): boolean {
  const isGood = (value: string): boolean => isText(value, texts);
  if (values.length === 0) return false;
  return which === 'every' ? values.every(isGood) : values.some(isGood);
}

function isText(value: string, texts: Texts): boolean {
  return [texts].flat().some((text) => {
    const parts = text.split('*').map((part) => escaped(part));
    return compiled(parts.join('.+'), 'su').test(value);
  });
}

function isWhen({ when = {} }: RuleDocument, question: Question, isDeny: boolean): boolean {
  const { http, claims, now } = question;
  const { jwt, time, headers = {} } = when;
  const source = when['source.ip'];
  const destination = when['destination.ip'];
  if (source !== undefined && !source.some((range) => isInRange(question.sourceIp, range)))
    return false;
  if (
    destination !== undefined &&
    !destination.some((range) => isInRange(question.destinationIp, range))
  )
    return false;
  if (time?.from !== undefined && now < Date.parse(time.from)) return false;
  if (time?.until !== undefined && now >= Date.parse(time.until)) return false;
  if (jwt !== undefined) {
    if (http === undefined || claims === undefined || claims['iss'] !== jwt.issuer) return false;
    const isMissed = Object.entries(jwt.claims ?? {}).some(
      ([name, wanted]) => !isClaim(Object.hasOwn(claims, name) ? claims[name] : undefined, wanted),
    );
    if (isMissed) return false;
  }
  return Object.entries(headers).every(([name, wanted]) => {
    const values = (http?.lines ?? []).filter(([line]) => line.toLowerCase() === name);
    const { pattern, values: which = isDeny ? 'some' : 'every' } =
      typeof wanted === 'object' && 'pattern' in wanted ? wanted : { pattern: wanted };
    return areSome(
      values.map(([, value]) => value),
      pattern,
      which,
    );
  });
}

function isClaim(value: unknown, wanted: Texts | { readonly contains: Texts }): boolean {
  if (typeof wanted === 'object' && 'contains' in wanted)
    return (
      Array.isArray(value) &&
      value.some((one: unknown) => typeof one === 'string' && isText(one, wanted.contains))
    );
  return typeof value === 'string' && isText(value, wanted);
}

/** IPv4 alone. */
function isInRange(address: string, range: string): boolean {
  const bits = (text: string): string =>
    text
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [base = '', length = '32'] = range.split('/');
  return bits(address).slice(0, Number(length)) === bits(base).slice(0, Number(length));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/gu, '\\$&');
}

function idExpression(pattern: string): string {
  const [, domain = '', path = ''] = /^spiffe:\/\/([^/]*)(.*)$/u.exec(pattern) ?? [];
  const authority = domain === '*' ? '[^/\\n]+' : escaped(domain);
  return `spiffe:\\/\\/${authority}${segments(path, '[^/\\n]')}`;
}

function pathExpression(pattern: string): string {
  return segments(pattern, CHARACTER);
}

function hostExpression(pattern: string): string {
  const labels = pattern.split('.');
  const rest = labels[0] === '**' ? labels.slice(1) : labels;
  const text = rest.map((label) => segment(label, '[^.\\n]')).join('\\.');
  return labels[0] === '**' ? `(?:[^\\n]*\\.)?${text}` : text;
}

function segments(path: string, character: string): string {
  const isOpen = path.endsWith('/**');
  const closed = isOpen ? path.slice(0, -3) : path;
  const text = closed
    .split('/')
    .map((one) => segment(one, character))
    .join('\\/');
  return isOpen ? `${text}(?:\\/${ANYTHING})?` : text;
}

function segment(text: string, character: string): string {
  const [, name] = /^\{(\w+)\}$/u.exec(text) ?? [];
  if (name !== undefined) return `(?<${name}>${character}+)`;
  return text
    .split('*')
    .map((part) => escaped(part))
    .join(`${character}+`);
}

/** Undefined: nobody can say which value it is, or it is none for a header. */
function mapped(
  matches: readonly Match[],
  question: Question,
  names: readonly string[],
): ReadonlyMap<string, string | undefined> | undefined {
  const owned = new Map<string, string | undefined>();
  for (const name of names) {
    const values = new Set(
      matches.flatMap(({ rule, captured }) => {
        const wanted = rule.map?.[name];
        return wanted === undefined
          ? []
          : captured.map((groups) => valueOf(wanted, groups, question));
      }),
    );
    values.delete(undefined);
    const [value] = values;
    if (values.size > 1) return undefined;
    if (value !== undefined && !isHeaderValue(value)) return undefined;
    owned.set(
      name,
      value?.replaceAll(/[^ -$&-~]/gu, (one) => encodeURIComponent(one)),
    );
  }
  return owned;
}

function isHeaderValue(value: string): boolean {
  const isPlain = value.split('').every((one) => one >= ' ' && one !== '\x7f' && one !== ',');
  return isPlain && value.trim() === value;
}

function valueOf(
  wanted: string,
  groups: Readonly<Record<string, string>>,
  { caller, claims }: Question,
): string | undefined {
  if (wanted === 'source.id') return typeof caller === 'object' ? caller.id : undefined;
  if (wanted.startsWith('jwt.')) {
    const claim = claims?.[wanted.slice(4)];
    return typeof claim === 'string' ? claim : undefined;
  }
  return wanted.replaceAll(/\{(\w+)\}/gu, (_, name: string) => groups[name] ?? '');
}
