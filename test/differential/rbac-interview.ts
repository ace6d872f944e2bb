import type { CompiledRbac, MatchAction } from '../../src/authz/rbac/index.ts';
import type { CertificateShapes } from './certificate-shapes.ts';
import { reachedAs, reachedBy } from './judge-answer.ts';
import type { PolicyDocument } from './policy-document.ts';
import type { Asked } from './random-questions.ts';
import { type RawAnswer, RawClient } from './raw-client.ts';
import { RawHttp2Client } from './raw-http2-client.ts';
import { http2RequestOf, requestOf } from './raw-request.ts';
import {
  type Judge,
  judges,
  type LoggedRequest,
  type RbacEnvoy,
  type RbacTrees,
  rbacFields,
} from './rbac-envoy.ts';
import {
  asConnection,
  faultOfAlone,
  faultOfBeforeCheck,
  faultOfDraft,
  isWhole,
  type Truth,
  truthOf,
} from './rbac-truth.ts';

/** Policies and what is asked of them. */
export interface RbacCase {
  readonly number: number;
  readonly name: string;
  readonly service: Asked['service'];
  readonly policies: readonly PolicyDocument[];
  readonly asked: readonly { readonly asked: Asked; readonly isHttp2: boolean }[];
  readonly replay: string;
}

interface Tally {
  decisions: number;
  connections: number;
  /** What the proxy answered without asking anybody. */
  unasked: number;
  /** Allowed without Check, where Check could have been asked. */
  unchecked: number;
  /** Where RBAC alone had to decide as the engine does. */
  whole: number;
  readonly differences: unknown[];
}

export interface RbacInterviewOptions {
  readonly envoy: RbacEnvoy;
  readonly shapes: CertificateShapes;
  readonly share: (id: string, percent: number) => boolean;
}

type HttpJudge = Exclude<Judge, 'network'>;
/** What an answer says of how it came about. */
type Said = Readonly<Record<string, unknown>>;

/** Puts the same questions to all judges of an Envoy, and judges what each answers. */
export class RbacInterview {
  readonly tally: Tally = {
    decisions: 0,
    connections: 0,
    unasked: 0,
    unchecked: 0,
    whole: 0,
    differences: [],
  };
  readonly #options: RbacInterviewOptions;
  readonly #clients = new Map<string, RawClient | RawHttp2Client>();
  #asked = 0;
  /** What answers said of RBAC, by the number that their requests had. */
  readonly #told = new Map<string, Said>();

  constructor(options: RbacInterviewOptions) {
    this.#options = options;
  }

  async ask(lane: number, one: RbacCase, trees: RbacTrees): Promise<void> {
    const lines = Map.groupBy(
      one.asked,
      ({ asked: { as, sourceIp, port }, isHttp2 }) => `${as} ${sourceIp} ${port} ${isHttp2}`,
    );
    await Promise.all(
      [...lines].flatMap(([line, all]) =>
        (['check', 'alone', 'both'] as const).map(async (judge) => {
          for (const { asked, isHttp2 } of all)
            if (asked.http !== undefined)
              await this.#askHttp(`${lane} ${line}`, one, trees.http, judge, asked, isHttp2);
        }),
      ),
    );
    for (const [at, { asked }] of one.asked.entries()) {
      const connection =
        asked.http === undefined || at % 10 === 0 ? asConnection(asked) : undefined;
      if (connection !== undefined) await this.#askConnection(one, trees.network, connection);
    }
  }

  /** Lines of the access log that say something else than their answers. */
  misread(log: readonly LoggedRequest[]): readonly unknown[] {
    const logged = new Map(log.map((line) => [line.ask, line]));
    return [...this.#told].flatMap(([ask, told]) => {
      const { rbac = {} } = logged.get(ask) ?? {};
      const isSame = Object.entries(told).every(([name, value]) => rbac[name] === value);
      return isSame ? [] : [{ ask, told, rbac }];
    });
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  async #askHttp(
    line: string,
    one: RbacCase,
    compiled: CompiledRbac,
    judge: HttpJudge,
    asked: Asked,
    isHttp2: boolean,
  ): Promise<void> {
    const { shapes, share } = this.#options;
    const arrived = { ...asked, destinationIp: judges[judge] };
    const truth = truthOf(one.policies, arrived, share);
    const number = `${one.name}-${judge}-${++this.#asked}`;
    const more = [['x-ask', number]] as const;
    const client = this.#client(`${judge} ${line}`, judge, asked, isHttp2);
    const answer =
      client instanceof RawHttp2Client
        ? await client.ask(http2RequestOf(one.name, asked, shapes, more)).catch(() => undefined)
        : await client.ask(requestOf(one.name, asked, shapes, more));
    const rbac = answer && saidOfRbac(answer);
    const reason = answer && said(answer, 'reason');
    if (answer === undefined || (rbac === undefined && reason === undefined)) {
      this.tally.unasked++;
      const isRefusal = answer === undefined || answer.status === 400;
      if (!isRefusal) this.#differ(one, truth, judge, 'nobody was asked', answer);
      return;
    }
    this.#told.set(number, rbac ?? {});
    this.tally.decisions++;
    const fault =
      judge === 'check'
        ? faultOfCheck(answer, truth)
        : judge === 'alone'
          ? this.#faultOfAlone(answer, rbac ?? {}, compiled, truth)
          : this.#faultOfBoth(answer, rbac ?? {}, compiled, truth);
    if (fault !== undefined) this.#differ(one, truth, judge, fault, answer);
  }

  #faultOfAlone(
    answer: RawAnswer,
    rbac: Said,
    compiled: CompiledRbac,
    truth: Truth,
  ): string | undefined {
    if (isWhole(compiled, truth.question)) this.tally.whole++;
    const action = actionOf(rbac, 'tp_enforced_');
    const draft = actionOf(rbac, 'tp_draft_shadow_');
    return (
      faultOfAlone(compiled, action, truth) ??
      (compiled.draft === undefined ? undefined : faultOfDraft(compiled, draft, truth)) ??
      faultOfOutcome(answer, action?.action === 'ALLOW', truth)
    );
  }

  #faultOfBoth(
    answer: RawAnswer,
    rbac: Said,
    compiled: CompiledRbac,
    truth: Truth,
  ): string | undefined {
    const before = actionOf(rbac, 'tp_enforced_');
    const alone = actionOf(rbac, 'tp_alone_shadow_');
    const fault =
      faultOfBeforeCheck(compiled, before, truth) ?? faultOfAlone(compiled, alone, truth);
    if (fault !== undefined) return fault;
    const reason = said(answer, 'reason');
    if (before?.action !== 'ALLOW')
      return reason === undefined
        ? faultOfOutcome(answer, false, truth)
        : 'denied, and yet checked';
    if (alone?.action !== 'ALLOW') return faultOfCheck(answer, truth);
    this.tally.unchecked++;
    return reason === undefined ? faultOfOutcome(answer, true, truth) : 'allowed, and yet checked';
  }

  async #askConnection(one: RbacCase, compiled: CompiledRbac, asked: Asked): Promise<void> {
    const { share, envoy } = this.#options;
    const { port, sourceIp, as } = asked;
    const truth = truthOf(one.policies, { ...asked, destinationIp: judges.network }, share);
    const identity = envoy.identityOf(as);
    const client = new RawClient({ host: judges.network, port, localAddress: sourceIp, identity });
    const isOpen = await client.ask('GET / HTTP/1.1\r\nhost: a\r\n\r\n').then(
      ({ status }) => status === 200,
      () => false,
    );
    client.close();
    this.tally.decisions++;
    this.tally.connections++;
    const action: MatchAction = {
      kind: 'action',
      name: 'ask_check',
      action: isOpen ? 'ALLOW' : 'DENY',
    };
    const fault = faultOfAlone(compiled, action, truth);
    if (fault !== undefined) this.#differ(one, truth, 'network', fault, undefined);
  }

  #client(
    line: string,
    judge: HttpJudge,
    { as, sourceIp, port }: Asked,
    isHttp2: boolean,
  ): RawClient | RawHttp2Client {
    const known = this.#clients.get(line);
    if (known !== undefined) return known;
    const identity = this.#options.envoy.identityOf(as);
    const options = { host: judges[judge], port, localAddress: sourceIp, identity };
    const client = isHttp2 ? new RawHttp2Client(options) : new RawClient(options);
    this.#clients.set(line, client);
    return client;
  }

  #differ(
    { replay, policies }: RbacCase,
    truth: Truth,
    judge: Judge,
    fault: string,
    answer: RawAnswer | undefined,
  ): void {
    const { status, headers } = answer ?? {};
    const got = {
      status,
      rbac: headers?.get('x-said-rbac'),
      reason: headers?.get('x-said-reason'),
    };
    const told = { ...truth, matches: [...truth.matches] };
    this.tally.differences.push({
      replay,
      judge,
      fault,
      got,
      ...told,
      policies: JSON.stringify(policies),
    });
  }
}

function said(answer: RawAnswer, field: string): string | undefined {
  const value = answer.headers.get(`x-said-${field}`);
  return value === undefined || value === '' || value === '-' ? undefined : value;
}

/** Undefined: it did not come to RBAC. */
function saidOfRbac(answer: RawAnswer): Said | undefined {
  const fields = rbacFields.flatMap((name) => {
    const value = said(answer, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const [, denier] =
    /^rbac_access_denied_matched_policy\[(.*)\]$/u.exec(said(answer, 'details') ?? '') ?? [];
  if (denier !== undefined) {
    fields.push(
      ['tp_enforced_effective_policy_id', denier],
      ['tp_enforced_engine_result', 'denied'],
    );
  }
  return fields.length === 0 ? undefined : Object.fromEntries(fields);
}

function actionOf(rbac: Said, prefix: string): MatchAction | undefined {
  const name = rbac[`${prefix}effective_policy_id`];
  const result = rbac[`${prefix}engine_result`];
  if (typeof name !== 'string' || name === '' || name === 'none') return undefined;
  return { kind: 'action', name, action: result === 'allowed' ? 'ALLOW' : 'DENY' };
}

function faultOfCheck(answer: RawAnswer, truth: Truth): string | undefined {
  const { verdict } = truth;
  const rule = said(answer, 'rule') && `${said(answer, 'policy')}/${said(answer, 'rule')}`;
  const reason = said(answer, 'reason');
  if (reason !== verdict.reason || rule !== verdict.rule) return `${reason} by ${rule}`;
  return faultOfOutcome(answer, verdict.reason === 'allowed_by_rule', truth);
}

/** What the caller got, and the application. */
function faultOfOutcome(
  answer: RawAnswer,
  isAllowed: boolean,
  { verdict, question: { http } }: Truth,
): string | undefined {
  // The application itself refuses methods in small letters.
  const isRefused = answer.status === 400 && /[a-z]/u.test(http?.method ?? '');
  if (isRefused && isAllowed) return undefined;
  const hasReached = answer.status === 200 && !answer.headers.has('grpc-status');
  if (hasReached !== isAllowed)
    return `${isAllowed ? 'allowed' : 'denied'}, and yet ${answer.status}`;
  if (!isAllowed) return undefined;
  const [reached, wanted] = [reachedBy(answer, verdict), reachedAs(verdict)];
  return reached === wanted ? undefined : `${reached} reached instead of ${wanted}`;
}
