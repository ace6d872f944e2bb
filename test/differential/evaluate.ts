import { BlockList, isIP, isIPv4 } from 'node:net';
import type {
  Credential,
  OperationDocument,
  PolicyDocument,
  RuleDocument,
  Texts,
} from './policy-document.ts';

/** Somebody who shows an SVID, or why nobody is taken for one. */
export type Shown = { readonly id: string } | 'bad_svid' | 'unknown_trust_domain' | 'revoked';

/** What is asked, as somebody sees it who watches the wire. */
export interface Question {
  readonly service: { readonly id?: string; readonly extension?: string };
  /** By a certificate, or by whoever is believed to have seen it. */
  readonly caller: Shown | 'nobody';
  /** By a token in a header. */
  readonly token?: Shown;
  /** Undefined: a connection. */
  readonly http?: {
    readonly method: string;
    readonly target: string;
    readonly host: string;
    readonly lines: readonly (readonly [name: string, value: string])[];
    /** Octets of a body that came so far, and whether the route says that its proxy waits for them. */
    readonly body?: { readonly came: number; readonly isAwaited: boolean };
  };
  readonly sourceIp: string;
  readonly destinationIp: string;
  readonly port: number;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly now: number;
}

/** What a decision comes to. */
interface Conclusion {
  readonly reason: string;
  /** policy/rule, where a rule decided. */
  readonly rule?: string;
  /** Headers that some policy of the service maps: with a value, or none. */
  readonly owned: Owned;
}

type Owned = ReadonlyMap<string, string | undefined>;

export interface Verdict extends Conclusion {
  /** What a caller is told that is denied. */
  readonly told: { readonly status: number; readonly hasBody: boolean };
  /** policy/rule, sorted. */
  readonly observed: readonly string[];
  /** As if every stage were enforced; undefined: no rule of a policy that is tried matched. */
  readonly shadow?: Conclusion;
  readonly isLogged: boolean;
}

interface Identity {
  readonly id: string | undefined;
  readonly credential: Credential;
}

interface Match {
  readonly policy: PolicyDocument;
  readonly rule: RuleDocument;
  readonly name: string;
  readonly as: Identity;
  /** What captures stand for, in each way that the rule matches. */
  readonly captured: readonly Readonly<Record<string, string>>[];
}

/** Of a path, as it is written: an escape is three. */
const CHARACTER = '[^/\\n]';
const ANYTHING = '[^\\n]*';
const SOMETHING = '[^\\n]+';
/** No value of a header has a line end: before the ID that is asserted, and what cannot be written. */
export const ASSERTED = '\nassertion of ';
const UNFIT = '\n';

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
  const none: Owned = new Map(names.map((name) => [name, undefined]));
  const verdictOf = (
    conclusion: Pick<Conclusion, 'reason'> & Partial<Conclusion>,
    more: Partial<Verdict> = {},
  ): Verdict => ({
    owned: none,
    observed: [],
    isLogged: false,
    ...conclusion,
    told: toldBy(policies, conclusion.reason),
    ...more,
  });
  const early = refusalOf(policies, question);
  if (early !== undefined) return verdictOf({ reason: early });
  const matches = policies
    .flatMap((policy) => policy.rules.flatMap((rule) => matchesOf(policy, rule, question)))
    .sort(
      (a, b) =>
        order(a.policy.metadata.name, b.policy.metadata.name) || order(a.rule.id, b.rule.id),
    );
  const isTried = ({ policy: { mode } }: Match): boolean =>
    mode !== undefined && mode.stage !== 'enforce';
  const isEnforced = (match: Match): boolean => {
    const { mode } = match.policy;
    if (!isTried(match)) return true;
    if (mode?.stage === 'observe' || match.as.id === undefined) return false;
    return isInShare(match.as.id, mode?.percent ?? 0);
  };
  const hidden = matches.filter((found) => !isEnforced(found)).map(({ name }) => name);
  return verdictOf(conclude(matches.filter(isEnforced), question, names), {
    observed: [...new Set(hidden)].sort(),
    isLogged: matches.some(({ rule }) => rule.log === 'always'),
    ...(matches.some(isTried) && { shadow: conclude(matches, question, names) }),
  });
}

/** The rules that match, whatever else is decided, as policy/rule. */
export function findMatches(
  documents: readonly PolicyDocument[],
  question: Question,
): ReadonlySet<string> {
  const policies = documents.filter(({ service }) => isFor(service, question));
  const matches = policies.flatMap((policy) =>
    policy.rules.flatMap((rule) => matchesOf(policy, rule, question)),
  );
  return new Set(matches.map(({ name }) => name));
}

function conclude(
  matches: readonly Match[],
  question: Question,
  names: readonly string[],
): Conclusion {
  const owned: Owned = new Map(names.map((name) => [name, undefined]));
  const denying = matches.find(({ rule }) => rule.deny !== undefined);
  if (denying !== undefined) return { reason: 'denied_by_rule', rule: denying.name, owned };
  const [allowing] = matches;
  if (allowing === undefined) {
    const isNobody = identitiesOf(question).every(({ id }) => id === undefined);
    return { reason: isNobody ? 'unauthenticated' : 'no_rule_matched', owned };
  }
  const written = mapped(matches, question, names);
  if (written === undefined) return { reason: 'mapping_conflict', rule: allowing.name, owned };
  return { reason: 'allowed_by_rule', rule: allowing.name, owned: written };
}

/** Why no rule is asked. */
function refusalOf(policies: readonly PolicyDocument[], question: Question): string | undefined {
  const { caller, token, http } = question;
  if (policies.length === 0) return 'policy_missing';
  const shown = caller === 'nobody' ? token : caller;
  if (typeof shown === 'string') return shown;
  if (http === undefined) return undefined;
  const takesMatrix = policies.every(({ request }) => request?.path?.matrixParameters === 'allow');
  if (isAmbiguous(http.target.replace(/\?.*$/su, ''), takesMatrix)) return 'non_canonical_path';
  if (isAmbiguousHost(http.host)) return 'non_canonical_host';
  const bounds = policies.flatMap(({ request }) => request?.body?.maxBytes ?? []);
  return bounds.some((most) => !(bodyOf(http) <= most)) ? 'body_too_large' : undefined;
}

/** NaN: nobody knows. */
function bodyOf({ method, lines, body }: NonNullable<Question['http']>): number {
  const valuesOf = (wanted: string): readonly string[] =>
    lines.flatMap(([name, value]) => (name.toLowerCase() === wanted ? [value] : []));
  if (method === 'CONNECT' || valuesOf('upgrade').length > 0) return Number.NaN;
  const [length] = valuesOf('content-length');
  if (length !== undefined) return Number(length);
  return body?.isAwaited === true && body.came === 0 ? 0 : Number.NaN;
}

function toldBy(policies: readonly PolicyDocument[], reason: string): Verdict['told'] {
  const all = policies.flatMap(({ response }) => response?.deny ?? []);
  const asked = [403, 401, 429, 503].find((one) => all.some(({ status }) => status === one));
  return {
    status: asked ?? (reason === 'unauthenticated' ? 401 : 403),
    hasBody: all.every(({ body }) => body !== 'none'),
  };
}

/** Whom rules see: whoever showed a certificate, a token, or both; else nobody. */
function identitiesOf({ caller, token }: Question): readonly Identity[] {
  const shown = [
    ...(typeof caller === 'object' ? [{ ...caller, credential: 'x509-svid' as const }] : []),
    ...(typeof token === 'object' ? [{ ...token, credential: 'jwt-svid' as const }] : []),
  ];
  return shown.length === 0 ? [{ id: undefined, credential: 'x509-svid' }] : shown;
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

function matchesOf(
  policy: PolicyDocument,
  rule: RuleDocument,
  question: Question,
): readonly Match[] {
  const isDeny = rule.deny !== undefined;
  if (!isWhen(rule, question, isDeny)) return [];
  const name = `${policy.metadata.name}/${rule.id}`;
  return identitiesOf(question).flatMap((as) => {
    const callers = isTaken(rule, as.credential) ? callerExpressions(policy, rule.from, as) : [];
    const captured = (rule.allow ?? rule.deny ?? []).flatMap((operation) =>
      callers.flatMap((caller) => matchOperation(operation, caller, as, question, isDeny)),
    );
    return captured.length === 0 ? [] : [{ policy, rule, name, as, captured }];
  });
}

function isTaken({ from, deny }: RuleDocument, credential: Credential): boolean {
  if (from === 'anyone') return true;
  const { credentials } = typeof from === 'object' && 'ids' in from ? from : {};
  return credentials?.includes(credential) ?? (deny !== undefined || credential === 'x509-svid');
}

/** None when nobody of `from` can be the caller. */
function callerExpressions(
  { sets = {} }: PolicyDocument,
  from: RuleDocument['from'],
  { id: caller }: Identity,
): readonly string[] {
  if (from === 'anyone') return [ANYTHING];
  if (from === 'authenticated') return [SOMETHING];
  const { ids, except = [] } = 'ids' in from ? from : { ids: from };
  const spelled = (list: readonly string[]): readonly string[] =>
    list.flatMap((id) => (id.startsWith('$') ? (sets[id.slice(1)] ?? []) : [id]));
  const excluded = spelled(except).some(
    (id) => caller !== undefined && compiled(idExpression(id)).test(caller),
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
  { id = '' }: Identity,
  question: Question,
  isDeny: boolean,
): readonly Readonly<Record<string, string>>[] {
  const { http, port } = question;
  const { methods, paths, hosts, port: ports, query, grpc } = spelledOut(operation);
  if (ports !== undefined && ![ports].flat().includes(port)) return [];
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
    types.length > 0 && types.every(([, value]) => /^application\/grpc(?:$|[+; ])/iu.test(value))
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

function isInRange(written: string, range: string): boolean {
  const [base = '', length] = range.split('/');
  if (isIP(written.replace(/%.*$/su, '')) === 0) return false;
  const address = plainAddress(written);
  const families = [address, plainAddress(base)].map((one) => (isIPv4(one) ? 'ipv4' : 'ipv6'));
  const [family = 'ipv4', other] = families;
  if (family !== other) return false;
  const list = new BlockList();
  list.addSubnet(plainAddress(base), Number(length ?? (family === 'ipv4' ? 32 : 128)), family);
  return list.check(address, family);
}

/** Without the zone; IPv4 in IPv6 as IPv4. */
function plainAddress(written: string): string {
  const [address = ''] = written.split('%');
  if (isIPv4(address)) return address;
  const short = new URL(`http://[${address}]/`).hostname;
  const [, ...groups] = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/u.exec(short) ?? [];
  const parts = groups.flatMap((group) => {
    const both = Number.parseInt(group, 16);
    return [Math.floor(both / 256), both % 256];
  });
  return parts.length === 4 ? parts.join('.') : address;
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
): Owned | undefined {
  const owned = new Map<string, string | undefined>();
  for (const name of names) {
    const values = new Set(
      matches.flatMap(({ rule, as, captured }) => {
        const wanted = rule.map?.[name];
        return wanted === undefined
          ? []
          : captured.map((groups) => valueOf(wanted, groups, as, question));
      }),
    );
    values.delete(undefined);
    const [value] = values;
    if (values.size > 1 || value === UNFIT) return undefined;
    owned.set(name, value);
  }
  const asserted = [...owned].filter(([, value]) => value?.startsWith(ASSERTED));
  if (new Set(asserted.map(([, value]) => value)).size > 1) return undefined;
  // Nobody is asserted by nothing.
  for (const [name, value] of asserted) if (value === ASSERTED) owned.set(name, undefined);
  return owned;
}

/** A value as it is written; `UNFIT`: it cannot be. */
function headerValue(value: string): string {
  const isPlain = value !== '' && !/[\p{Cc},]/u.test(value) && value.trim() === value;
  return isPlain ? value.replaceAll(/[^ -$&-~]/gu, (one) => encodeURIComponent(one)) : UNFIT;
}

function valueOf(
  wanted: string,
  groups: Readonly<Record<string, string>>,
  { id }: Identity,
  { claims }: Question,
): string | undefined {
  if (wanted === 'source.id') return id;
  if (wanted === 'assertion') return `${ASSERTED}${id ?? ''}`;
  if (!wanted.startsWith('jwt.'))
    return headerValue(wanted.replaceAll(/\{(\w+)\}/gu, (_, name: string) => groups[name] ?? ''));
  const claim = claims?.[wanted.slice(4)];
  if (typeof claim === 'string') return headerValue(claim);
  if (!Array.isArray(claim) || claim.length === 0) return undefined;
  const texts = claim.map((one: unknown) => (typeof one === 'string' ? headerValue(one) : UNFIT));
  return texts.includes(UNFIT) ? UNFIT : texts.join(',');
}
