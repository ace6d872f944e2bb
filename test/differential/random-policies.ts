import type { SeededRandom } from '../programs/seeded-random.ts';
import type {
  OperationDocument,
  PolicyDocument,
  RuleDocument,
  Texts,
  WhenDocument,
} from './policy-document.ts';

/** What policies and requests of one world speak of. */
export interface World {
  readonly ports: readonly number[];
  readonly now: number;
  /** Where requests come from and arrive. */
  readonly sources: readonly string[];
  readonly destinations: readonly string[];
  /** Ports whose proxy waits for bodies; undefined: there is no proxy, so that anything can be asked. */
  readonly awaiting?: readonly number[];
}

export const domains = {
  own: 'prod.example',
  federated: 'partner.example',
  unknown: 'evil.example',
};
const paths = [
  '/ns/shop/sa/web',
  '/ns/shop/sa/web2',
  '/ns/cart/sa/web',
  '/ns/shop',
  '/ns/shop/sa/web/x',
];
const tenants = ['/tenant/a/sa/x', '/tenant/b/sa/x', '/tenant/a1/sa/x', '/tenant/v1/sa/y'];
/** Everybody who calls. */
export const callers: readonly string[] = [
  ...[...paths, ...tenants].map((path) => `spiffe://${domains.own}${path}`),
  ...[...paths.slice(0, 3), tenants[0]].map((path) => `spiffe://${domains.federated}${path}`),
  `spiffe://${domains.unknown}${paths[0]}`,
  `spiffe://${domains.own}/ns/shop/sa/revoked`,
];
/** Of the federated domain these are accepted. */
export const accepted = `spiffe://${domains.federated}/ns/**`;
/** Whose SVIDs are revoked, and whose older ones are. */
export const revoked = `spiffe://${domains.own}/ns/shop/sa/revoked`;
export const revokedLongAgo = `spiffe://${domains.own}/tenant/b/sa/x`;
/** It may speak for others. */
export const gateway = `spiffe://${domains.own}/gateway`;
const basePaths = [
  '/v1',
  '/v10',
  '/v1/charges',
  '/v1/charges/12',
  '/v1/a',
  '/v1/tenants/a/settings',
  '/v2/a/b',
  '/v1/tenants/a1/x',
  '/admin',
  '/admin/users/1',
  '/files/x.txt',
  '/a/a',
  '/a/v1',
  '/ledger.v1.Api/Get',
];
export const baseHosts: readonly string[] = [
  'api.example',
  'a.api.example',
  'a.b.api.example',
  'other.example',
];
export const methods: readonly string[] = ['GET', 'POST', 'PUT', 'DELETE'];
export const texts: readonly string[] = [
  'a,b',
  ' x',
  'INC-1',
  'INC-22',
  'x',
  'xy',
  'a b',
  'é',
  'INC-',
  'x+y',
  'x y',
  '50%',
];
export const headerNames: readonly string[] = ['x-ticket', 'x-role'];
export const queryNames: readonly string[] = ['limit', 'q'];
export const claimNames: readonly string[] = ['sub', 'groups', 'team'];
export const issuers: readonly string[] = ['https://sso.example', 'https://sso.example/'];
export const mappedNames: readonly string[] = ['x-user', 'x-tenant-id'];
/** What a listener of a proxy on this machine sees. */
export const sources: readonly string[] = ['127.0.0.1', '127.0.0.2', '127.0.1.2', '127.8.0.1'];
/** And what others may see. */
export const farSources: readonly string[] = [
  ...sources,
  '::ffff:127.0.0.2',
  '::FFFF:7f00:2',
  '0:0:0:0:0:ffff:127.8.0.1',
  '::7f00:2',
  '::1',
  '2001:db8::1',
  '2001:DB8:8000::1',
  'fe80::1%2',
  'pipe',
];
const ranges = [
  '127.0.0.0/24',
  '127.0.0.2',
  '127.0.0.0/31',
  '127.0.0.2/31',
  '127.0.0.0/9',
  '127.8.0.0/13',
  '127.0.0.3',
  '::ffff:127.0.0.2',
  '::/0',
  '::1',
  '2001:db8::/33',
  '2001:db8::/32',
  'fe80::/10',
];
const services = ['ledger.v1.Api/Get', 'ledger.v1.Api/*', 'ledger.v1.Admin/Get'];
const credentials = [['x509-svid'], ['jwt-svid'], ['jwt-svid'], ['x509-svid', 'jwt-svid']] as const;
const HOUR_MS = 3_600_000;

/** Makes policies for one service, of the whole language. */
export class PolicyMaker {
  readonly #random: SeededRandom;
  readonly #world: World;

  constructor(random: SeededRandom, world: World) {
    this.#random = random;
    this.#world = world;
  }

  make(service: PolicyDocument['service']): readonly PolicyDocument[] {
    const names = ['a', 'b', 'a-b'].slice(0, 1 + (this.#chance(50) ? 0 : this.#random(3)));
    const takesMatrix = this.#chance(15);
    const policies = names.map((name) => this.#policy(name, service, takesMatrix));
    return this.#chance(50) ? policies : policies.toReversed();
  }

  #policy(name: string, service: PolicyDocument['service'], takesMatrix: boolean): PolicyDocument {
    const rules = Array.from({ length: 1 + this.#random(5) }, (_, at) => this.#rule(at));
    const sets = { team: [this.#id(), this.#id()] };
    const isSaid = JSON.stringify(rules).includes('"$team"');
    return {
      metadata: { name },
      service,
      ...this.#maybe(30, () => ({ mode: this.#mode() })),
      ...this.#maybe(takesMatrix ? 95 : 35, () => ({ request: this.#request(takesMatrix) })),
      ...this.#maybe(25, () => ({ response: { deny: this.#denial() } })),
      ...(isSaid && { sets }),
      rules: this.#chance(50) ? rules : rules.toReversed(),
    };
  }

  #request(takesMatrix: boolean): NonNullable<PolicyDocument['request']> {
    const matrixParameters = this.#chance(takesMatrix ? 95 : 40) ? 'allow' : 'reject';
    return {
      ...this.#maybe(takesMatrix ? 95 : 50, () => ({ path: { matrixParameters } as const })),
      ...this.#maybe(40, () => ({ body: { maxBytes: this.#one([0, 0, 1, 2, 10, 11]) } })),
    };
  }

  #denial(): NonNullable<PolicyDocument['response']>['deny'] {
    return {
      ...this.#maybe(70, () => ({ status: this.#one([401, 403, 429, 503] as const) })),
      ...this.#maybe(50, () => ({ body: this.#one(['problem+json', 'none'] as const) })),
    };
  }

  #mode(): NonNullable<PolicyDocument['mode']> {
    const stage = this.#one(['observe', 'canary', 'canary', 'enforce'] as const);
    if (stage !== 'canary') return { stage };
    return { stage, percent: this.#one([0, 1, 30, 50, 99, 100]) };
  }

  #rule(at: number): RuleDocument {
    const id = `r${this.#one(['', '-', '.'])}${at}`;
    if (this.#chance(20)) return this.#tenantRule(id);
    const isDeny = this.#chance(35);
    const operations = this.#some(3, () => this.#operation());
    const rule = {
      id,
      from: this.#from(),
      ...this.#maybe(40, () => ({ when: this.#when() })),
      ...this.#maybe(10, () => ({ log: this.#one(['always', 'always', 'sampled'] as const) })),
    };
    if (isDeny) return { ...rule, deny: operations };
    // A claim is mapped of a token whose issuer the rule names.
    const hasToken = 'when' in rule && rule.when.jwt !== undefined;
    const values = hasToken
      ? ['jwt.sub', 'jwt.groups', 'jwt.team', 'assertion']
      : ['source.id', 'source.id', 'web', 'ops', 'assertion'];
    return { ...rule, allow: operations, ...this.#maybe(40, () => ({ map: this.#map(values) })) };
  }

  /** One with captures. */
  #tenantRule(id: string): RuleDocument {
    const from = [`spiffe://${domains.own}/tenant/{t}/sa/*`];
    const operations = this.#one<readonly OperationDocument[]>([
      ['GET /v1/tenants/{t}/**'],
      ['/v1/tenants/{t}/settings', 'ANY /{t}/**'],
      [{ paths: ['/{v}/tenants/{t}/*'], methods: ['GET', 'PUT'] }],
      [{ paths: ['/{t}/{t}', '/a/{t}'] }],
      [{ hosts: ['{t}.api.example'] }],
      [{ hosts: ['{t}.api.example'], paths: ['/v1/**'] }],
    ]);
    const values = JSON.stringify(operations).includes('{v}')
      ? ['{v}', '{v}-{t}']
      : ['tenant-{t}', '{t}'];
    if (this.#chance(20)) return { id, from, deny: operations };
    return {
      id,
      from,
      allow: operations,
      ...this.#maybe(50, () => ({ map: this.#map(values) })),
    };
  }

  #from(): RuleDocument['from'] {
    if (this.#chance(15)) return this.#one(['authenticated', 'anyone'] as const);
    const ids = this.#some(2, () => (this.#chance(15) ? '$team' : this.#id()));
    if (this.#chance(25)) return { ids, credentials: this.#one(credentials) };
    if (this.#chance(15)) {
      const id = this.#id().replace(/^spiffe:\/\/[^/]*/u, 'spiffe://*');
      return {
        ids: [id],
        anyTrustDomain: true,
        ...this.#maybe(40, () => ({ except: [this.#id()] })),
      };
    }
    return this.#chance(30) ? { ids, except: this.#some(2, () => this.#id()) } : ids;
  }

  #id(): string {
    const id = this.#one(callers);
    const domain = `spiffe://${id.split('/')[2] ?? ''}`;
    return `${domain}${this.#pattern(id.slice(domain.length))}`;
  }

  /** A path, or what is more general. */
  #pattern(path: string): string {
    const parts = path.split('/').slice(1);
    const isOpen = this.#chance(30);
    const kept = isOpen ? parts.slice(0, this.#random(parts.length + 1)) : parts;
    const spelled = kept.map((part) => (this.#chance(25) ? this.#glob(part) : part));
    return `/${[...spelled, ...(isOpen ? ['**'] : [])].join('/')}`;
  }

  #glob(part: string): string {
    const at = this.#random(part.length + 1);
    return this.#one([
      '*',
      '*',
      `${part.slice(0, at)}*`,
      `*${part.slice(at)}`,
      `${part.slice(0, 1)}*${part.slice(-1)}`,
    ]).replaceAll('**', '*');
  }

  #operation(): OperationDocument {
    if (this.#chance(45)) {
      const method = this.#one(['', 'ANY ', ...methods.map((name) => `${name} `)]);
      return `${method}${this.#pattern(this.#one(basePaths))}`;
    }
    if (this.#chance(15)) {
      const grpc = this.#some(2, () => this.#one(services));
      return { grpc, ...this.#maybe(20, () => ({ hosts: [this.#host()] })) };
    }
    if (this.#chance(10)) return { port: this.#one(this.#world.ports) };
    const operation = {
      ...this.#maybe(50, () => ({ methods: this.#some(2, () => this.#one(methods)) })),
      ...this.#maybe(60, () => ({
        paths: this.#some(2, () => this.#pattern(this.#one(basePaths))),
      })),
      ...this.#maybe(40, () => ({ hosts: this.#some(2, () => this.#host()) })),
      ...this.#maybe(15, () => ({ port: this.#some(2, () => this.#one(this.#world.ports)) })),
      ...this.#maybe(25, () => ({ query: { [this.#one(queryNames)]: this.#texts() } })),
    };
    return Object.keys(operation).length === 0 ? '/v1/**' : operation;
  }

  #host(): string {
    const labels = this.#one(baseHosts).split('.');
    if (this.#chance(25)) return ['**', ...labels.slice(1)].join('.');
    return this.#chance(25) ? ['*', ...labels.slice(1)].join('.') : labels.join('.');
  }

  #texts(): Texts {
    const text = (): string => {
      const whole = this.#one(texts);
      return this.#chance(50) ? whole : this.#one(['*', 'INC-*', `${whole.slice(0, 1)}*`, '*2']);
    };
    return this.#chance(70) ? text() : this.#some(2, text);
  }

  #when(): WhenDocument {
    const kind = this.#random(6);
    const { now } = this.#world;
    const instant = (): string => new Date(now + (this.#random(3) - 1) * HOUR_MS).toISOString();
    const headers = { [this.#one(headerNames)]: this.#header() };
    if (kind === 0) return { 'source.ip': this.#some(2, () => this.#one(ranges)) };
    if (kind === 1) return { 'destination.ip': [this.#one(ranges)] };
    if (kind === 2) return { time: this.#one([{ from: instant() }, { until: instant() }]) };
    if (kind === 3)
      return { jwt: { issuer: this.#one(issuers), ...this.#maybe(70, () => this.#claims()) } };
    if (kind === 4)
      return { headers, ...this.#maybe(30, () => ({ 'source.ip': [this.#one(ranges)] })) };
    return { headers };
  }

  #header(): NonNullable<WhenDocument['headers']>[string] {
    const pattern = this.#texts();
    if (this.#chance(50)) return pattern;
    return {
      pattern,
      ...this.#maybe(70, () => ({ values: this.#one(['every', 'some'] as const) })),
    };
  }

  #claims(): Pick<NonNullable<WhenDocument['jwt']>, 'claims'> {
    const name = this.#one(claimNames);
    return { claims: { [name]: this.#chance(50) ? this.#texts() : { contains: this.#texts() } } };
  }

  #map(values: readonly string[]): Record<string, string> {
    return Object.fromEntries(this.#some(2, () => [this.#one(mappedNames), this.#one(values)]));
  }

  #chance(percent: number): boolean {
    return this.#random(100) < percent;
  }

  #maybe<Value extends object>(percent: number, make: () => Value): Partial<Value> {
    return this.#chance(percent) ? make() : {};
  }

  #one<Value>(values: readonly Value[]): Value {
    const value = values[this.#random(values.length)];
    if (value === undefined) throw new Error('there is nothing to choose from');
    return value;
  }

  /** One to `most`, each once. */
  #some<Value>(most: number, make: () => Value): Value[] {
    const made = Array.from({ length: 1 + this.#random(most) }, make);
    return [...new Map(made.map((value) => [JSON.stringify(value), value])).values()];
  }
}
