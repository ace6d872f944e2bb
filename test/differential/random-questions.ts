import type { SeededRandom } from '../programs/seeded-random.ts';
import type { Question, Shown } from './evaluate.ts';
import type { OperationDocument, PolicyDocument, RuleDocument } from './policy-document.ts';
import {
  accepted,
  baseHosts,
  callers,
  claimNames,
  domains,
  gateway,
  headerNames,
  issuers,
  mappedNames,
  methods,
  queryNames,
  revoked,
  revokedLongAgo,
  texts,
  type World,
} from './random-policies.ts';

/** Who calls with which certificate: the callers, and those whom nobody believes. */
export const strangeCallers = [
  'nobody',
  'two-uris',
  'no-uri',
  'dns-only',
  'https-uri',
  'domain-id',
] as const;
export type StrangeCaller = (typeof strangeCallers)[number];

/** How a token is spoiled, if it is. */
export const tokenKinds = ['good', 'expired', 'of-others', 'forged'] as const;

/** A question, and by which certificate, token and body it is asked. */
export interface Asked extends Question {
  readonly as: string;
  /** Kind and ID. */
  readonly shows?: string;
  /** Octets, and whether it is told how many there are. */
  readonly sent: { readonly octets: number; readonly how: 'none' | 'length' | 'chunked' };
}

/** Whom an SVID of this ID shows; `isDated`: it is known when it was issued. */
function shownBy(id: string, isDated: boolean): Shown {
  const [, , domain] = id.split('/');
  if (domain !== domains.own && !id.startsWith(accepted.replace('**', '')))
    return 'unknown_trust_domain';
  return id === revoked || (id === revokedLongAgo && !isDated) ? 'revoked' : { id };
}

const letters = ['a', 'b', 'v1', 'v10', '12', 'x.txt', 'A', 'a%20b', '%C3%A9', 'a,b', '~'];
const traps: readonly ((path: string) => string)[] = [
  (path) => `${path}0`,
  (path) => `${path}/`,
  (path) => path.replace(/\/[^/]*$/u, ''),
  (path) => `${path}/more`,
  (path) => path.toUpperCase(),
  (path) => path.replace('/', '//'),
  (path) => `${path}//`,
  (path) => path.replace(/[a-z]/u, (letter) => `%${letter.charCodeAt(0).toString(16)}`),
  (path) => `${path};v=1`,
  (path) => path.replace(/(\/[^/]*)$/u, ';v=1$1'),
  (path) => `${path}/;x`,
  (path) => path.replace(/\/([^/]*)$/u, '/x/../$1'),
  (path) => `${path}/..;/a`,
  (path) => `${path}/.`,
  (path) => `${path}%2f`,
  (path) => `${path}%5C..`,
  (path) => `${path}%`,
  (path) => `${path}%zz`,
  (path) => path.replace('/', '/\\'),
  (path) => `${path}%20`,
  (path) => `${path}.`,
  (path) => path.slice(0, -1) || '/',
];

/** Asks what a policy speaks of, and what nearly is that. */
export class QuestionMaker {
  readonly #random: SeededRandom;
  readonly #world: World;

  constructor(random: SeededRandom, world: World) {
    this.#random = random;
    this.#world = world;
  }

  make(policies: readonly PolicyDocument[], service: Question['service']): Asked {
    const policy = this.#one(policies);
    const rule = this.#one(policy.rules);
    const operation = this.#one(rule.allow ?? rule.deny ?? []);
    const bound = new Map<string, string>();
    const shared = {
      service,
      sourceIp: this.#one(this.#world.sources),
      destinationIp: this.#one(this.#world.destinations),
      port: this.#port(operation),
      now: this.#world.now,
    };
    const [as, caller] = this.#caller(policy, rule, bound);
    const none = { octets: 0, how: 'none' } as const;
    if (this.#chance(4)) return { ...shared, as, caller, sent: none };
    const claims = this.#maybe(55, () => this.#claims(rule));
    const http = this.#http(rule, operation, bound);
    const sent = this.#chance(70) ? none : this.#body();
    const isAwaited = this.#world.awaiting?.includes(shared.port) ?? this.#chance(60);
    const forwarded = this.#forwarded(policy, rule);
    const token = this.#maybe(30, () => this.#token(policy, rule));
    const asked = {
      ...shared,
      as,
      caller,
      sent,
      http: {
        ...http,
        lines: [
          ...http.lines,
          ...(sent.how === 'length' ? [['content-length', String(sent.octets)] as const] : []),
          ...this.#unending(),
        ],
        body: { came: isAwaited ? sent.octets : 0, isAwaited },
      },
      ...(claims && { claims }),
      ...token,
    };
    return forwarded === undefined ? asked : withForwarded(asked, forwarded, this.#chance(70));
  }

  #body(): Asked['sent'] {
    const octets = this.#one([0, 1, 1, 2, 3, 10, 11, 12]);
    return { octets, how: this.#one(['length', 'length', 'chunked'] as const) };
  }

  /** What no proxy of ours passes on. */
  #unending(): readonly (readonly [string, string])[] {
    return this.#world.awaiting === undefined && this.#chance(2) ? [['upgrade', 'websocket']] : [];
  }

  #token(policy: PolicyDocument, { from }: RuleDocument): Pick<Asked, 'shows' | 'token'> {
    const id = this.#chance(20) ? this.#one(callers) : this.#callerOf(policy, from);
    const kind = this.#chance(80) ? 'good' : this.#one(tokenKinds);
    const shown = shownBy(id, true);
    const isUnknown = id.includes(domains.unknown);
    const spoiled = isUnknown ? 'unknown_trust_domain' : 'bad_svid';
    return { shows: `${kind} ${id}`, token: kind === 'good' ? shown : spoiled };
  }

  /** Of a proxy that speaks for others, and of whoever says that he is one. */
  #forwarded(policy: PolicyDocument, { from }: RuleDocument): Forwarded | undefined {
    if (!this.#chance(10)) return undefined;
    const element = (id: string): string => `By=${gateway};Hash=aa;URI=${id}`;
    const id = this.#callerOf(policy, from);
    const other = this.#one(callers);
    return this.#one<Forwarded>([
      { line: element(id), caller: shownBy(id, false) },
      { line: `${element(other)},${element(id)}`, caller: shownBy(id, false) },
      { line: undefined, caller: 'nobody' },
      { line: `By=${gateway};Hash=aa`, caller: 'bad_svid' },
      { line: `${element(id)};URI=${other}`, caller: 'bad_svid' },
    ]);
  }

  #caller(
    policy: PolicyDocument,
    { from }: Pick<RuleDocument, 'from'>,
    bound: Map<string, string>,
  ): readonly [string, Question['caller']] {
    if (from === 'anyone' && this.#chance(30)) return ['nobody', 'nobody'];
    if (this.#chance(8)) {
      const as = this.#one(strangeCallers);
      return [as, as === 'nobody' ? 'nobody' : 'bad_svid'];
    }
    const id = this.#chance(15) ? this.#one(callers) : this.#callerOf(policy, from);
    const [, tenant] = /\/tenant\/([^/]*)/u.exec(id) ?? [];
    if (tenant !== undefined && this.#chance(85)) bound.set('t', tenant);
    const shown = shownBy(id, true);
    // Of those whom no rule is asked about there need not be many.
    return typeof shown === 'string' && this.#chance(60)
      ? this.#caller(policy, { from }, bound)
      : [id, shown];
  }

  /** Somebody whom a pattern nearly names. */
  #callerOf({ sets = {} }: PolicyDocument, from: RuleDocument['from']): string {
    if (from === 'authenticated' || from === 'anyone') return this.#one(callers);
    const { ids, except = [] } = 'ids' in from ? from : { ids: from };
    const named = this.#one([...ids, ...ids, ...except]);
    const pattern = named.startsWith('$') ? this.#one(sets['team'] ?? []) : named;
    const start = pattern.split(/[*{]/u)[0] ?? '';
    const near = callers.filter((id) =>
      id.startsWith(start.slice(0, Math.max(10, start.length - 1))),
    );
    return near.length === 0 ? this.#one(callers) : this.#one(near);
  }

  #port(operation: OperationDocument): number {
    const port = typeof operation === 'object' ? operation.port : undefined;
    return port !== undefined && this.#chance(70)
      ? this.#one([port].flat())
      : this.#one(this.#world.ports);
  }

  #http(
    rule: RuleDocument,
    operation: OperationDocument,
    bound: Map<string, string>,
  ): Pick<NonNullable<Question['http']>, 'method' | 'target' | 'host' | 'lines'> {
    const fields = typeof operation === 'object' ? operation : partsOf(operation);
    const { methods: wanted = methods, paths, hosts, query = {}, grpc } = fields;
    const isGrpc = grpc !== undefined;
    const pattern = isGrpc
      ? `/${this.#one(grpc)}`
      : this.#one(paths ?? ['/v1/charges', '/v1', '/a/a']);
    const exact = this.#fill(pattern, bound);
    const path = this.#chance(30) ? this.#one(traps)(exact) : exact;
    const named = this.#chance(85) ? this.#one(wanted) : this.#one(methods);
    // A proxy refuses other methods.
    const isFree = this.#world.awaiting === undefined;
    const tunnel = isFree && this.#chance(1) ? 'CONNECT' : undefined;
    const spelled = named === 'ANY' ? this.#one(methods) : named;
    const method = tunnel ?? (isFree && this.#chance(4) ? spelled.toLowerCase() : spelled);
    const host =
      this.#chance(85) && hosts !== undefined
        ? this.#fillHost(this.#one(hosts), bound)
        : this.#one(baseHosts);
    return {
      method: isGrpc && this.#chance(85) ? 'POST' : method,
      target: `${path === '' ? '/' : path}${this.#query(query)}`,
      host: this.#host(host),
      lines: [...this.#headers(rule), ...this.#spoofed(), ...this.#contentType(isGrpc)],
    };
  }

  #fill(pattern: string, bound: Map<string, string>): string {
    return pattern
      .split('/')
      .flatMap((part) => {
        if (part === '**') return Array.from({ length: this.#random(3) }, () => this.#one(letters));
        const [, name] = /^\{(\w+)\}$/u.exec(part) ?? [];
        if (name !== undefined) return [this.#bound(name, bound)];
        return [
          part.replaceAll('*', () =>
            this.#one(['a', '1', 'b2', '%20', this.#chance(20) ? '' : 'x']),
          ),
        ];
      })
      .join('/');
  }

  #bound(name: string, bound: Map<string, string>): string {
    const value = bound.get(name) ?? this.#one(letters);
    if (!bound.has(name)) bound.set(name, value);
    return this.#chance(10) ? this.#one(letters) : value;
  }

  #fillHost(pattern: string, bound: Map<string, string>): string {
    return pattern
      .split('.')
      .flatMap((label) => {
        if (label === '**') return Array.from({ length: this.#random(3) }, () => 'a');
        if (label.startsWith('{'))
          return [this.#bound('t', bound).replaceAll(/[^A-Za-z0-9]/gu, '') || 'a'];
        return [label === '*' ? this.#one(['a', 'b']) : label];
      })
      .join('.');
  }

  #host(host: string): string {
    if (this.#chance(75)) return host;
    return this.#one([
      `${host}:8443`,
      `${host}.`,
      host.toUpperCase(),
      `${host}.:80`,
      `x${host}`,
      `${host}.evil`,
      `${host}..`,
      `${host}:80:80`,
      `x@${host}`,
      `${host},evil`,
      `evil,${host}`,
    ]);
  }

  #query(wanted: Readonly<Record<string, unknown>>): string {
    const names = [...Object.keys(wanted), ...(this.#chance(25) ? [this.#one(queryNames)] : [])];
    const pairs = names.flatMap((name) =>
      Array.from(
        { length: this.#one([0, 1, 1, 1, 2]) },
        () => `${this.#key(name)}=${this.#value(this.#one(texts))}`,
      ),
    );
    if (this.#chance(10)) pairs.push(this.#one(['', 'q', 'limit=%49NC-1', 'limits=INC-1']));
    return pairs.length === 0 ? this.#one(['', '', '?']) : `?${pairs.join('&')}`;
  }

  #value(text: string): string {
    if (this.#chance(70)) return encodeURIComponent(text);
    const everything = Array.from(
      Buffer.from(text),
      (octet) => `%${octet.toString(16).padStart(2, '0')}`,
    );
    return this.#one([
      encodeURIComponent(text).replaceAll('%20', '+'),
      encodeURIComponent(text).replaceAll('%2B', '+'),
      everything.join(''),
      everything.join('').toUpperCase(),
      `${encodeURIComponent(text)}${this.#one(['%', '%4', '%zz', '%ff', '%c3', '=', '%3d'])}`,
      `%zz${everything.join('')}`,
      encodeURIComponent(encodeURIComponent(text)),
    ]);
  }

  #key(name: string): string {
    return this.#chance(90)
      ? name
      : name.replace(/^./u, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
  }

  #headers({ when = {} }: RuleDocument): readonly (readonly [string, string])[] {
    const names = [
      ...Object.keys(when.headers ?? {}),
      ...(this.#chance(15) ? [this.#one(headerNames)] : []),
    ];
    const plain = texts.filter((text) => /^[!-~](?:[ -~]*[!-~])?$/u.test(text));
    return names.flatMap((name) =>
      Array.from({ length: this.#one([0, 1, 1, 1, 2, 3]) }, () => {
        const spelled = this.#chance(80) ? name : name.toUpperCase();
        return [spelled, this.#one(plain)] as const;
      }),
    );
  }

  /** What nobody but the proxy may say. */
  #spoofed(): readonly (readonly [string, string])[] {
    if (this.#chance(60)) return [];
    const name = this.#one(mappedNames);
    return [
      [name, 'root'],
      [this.#one([name.replaceAll('-', '_'), name.replace('-', '_'), name.toUpperCase()]), 'root'],
    ];
  }

  #contentType(isGrpc: boolean): readonly (readonly [string, string])[] {
    if (!isGrpc && this.#chance(90)) return [];
    const type = this.#chance(70)
      ? 'application/grpc'
      : this.#one([
          'application/grpc+proto',
          'application/json',
          'application/grpcx',
          'application/grpc-web',
        ]);
    return this.#chance(95) ? [['content-type', type]] : [];
  }

  #claims({ when = {} }: RuleDocument): Readonly<Record<string, unknown>> {
    const iss = this.#chance(80) ? (when.jwt?.issuer ?? this.#one(issuers)) : this.#one(issuers);
    const names = [...Object.keys(when.jwt?.claims ?? {}), ...claimNames].filter(() =>
      this.#chance(60),
    );
    return { iss, ...Object.fromEntries(names.map((name) => [name, this.#claim(name)])) };
  }

  #claim(name: string): unknown {
    const text = (): string =>
      this.#one([...texts, ...(this.#chance(10) ? ['', 'x\u0085', '\ty'] : [])]);
    // A proxy that verifies tokens wants a text for it.
    const isText = name === 'sub' && (this.#world.awaiting !== undefined || this.#chance(70));
    if (isText || this.#chance(40)) return text();
    return this.#one<unknown>([
      [text(), text()],
      [text()],
      [text(), 7],
      [],
      7,
      true,
      null,
      { a: text() },
    ]);
  }

  #chance(percent: number): boolean {
    return this.#random(100) < percent;
  }

  #maybe<Value>(percent: number, make: () => Value): Value | undefined {
    return this.#chance(percent) ? make() : undefined;
  }

  #one<Value>(values: readonly Value[]): Value {
    const value = values[this.#random(values.length)];
    if (value === undefined) throw new Error('there is nothing to choose from');
    return value;
  }
}

interface Forwarded {
  readonly line: string | undefined;
  readonly caller: Question['caller'];
}

/** By the proxy that may speak for others; else it makes no difference. */
function withForwarded(asked: Asked, { line, caller }: Forwarded, isProxy: boolean): Asked {
  const { http } = asked;
  if (http === undefined) return asked;
  const more = line === undefined ? [] : [['x-forwarded-client-cert', line] as const];
  const told = { ...asked, http: { ...http, lines: [...http.lines, ...more] } };
  return isProxy ? { ...told, as: gateway, caller } : told;
}

function partsOf(operation: string): Exclude<OperationDocument, string> {
  const [first = '', second] = operation.split(' ');
  return second === undefined ? { paths: [first] } : { methods: [first], paths: [second] };
}
