import type { sendUnaryData, UntypedHandleCall } from '@grpc/grpc-js';
import { type AuditLog, type Requester, TrustplaneError } from '../spiffe/index.ts';
import type { GrpcService } from '../wire/index.ts';
import { auditedMethods, type ToldFields } from './audited-methods.ts';
import { countRefused, describeFields, madeIds, packTexts } from './describe-call.ts';
import { requesterOf, type UserNames } from './requester-of.ts';

export interface AuditedOptions {
  readonly audit: AuditLog;
  readonly userName: UserNames;
  /** Default: as the kernel or the caller's SVID says. */
  readonly requester?: (call: { getPeer(): string }) => Requester;
}

type Call = { getPeer(): string; readonly request?: unknown };
type Respond = sendUnaryData<unknown>;
type Answer = Parameters<Respond> extends [unknown, ...infer Rest] ? Rest : never;

/**
 * The service with its calls of `auditedMethods` in the ledger: by whom, what and with which outcome, before they are
 * answered. Calls that stream are recorded when they begin, too. What cannot be recorded is answered with
 * ERR_AUDIT_WRITE, although it may have been done; from then on nothing is, until the ledger can be written again.
 */
export function audited(
  { definition, implementation }: GrpcService,
  options: AuditedOptions,
): GrpcService {
  const guarded = { ...implementation };
  for (const [name, { path, requestStream, responseStream }] of Object.entries(definition)) {
    const method = path.slice(1);
    const [service = '', short = ''] = method.split('/');
    const told = auditedMethods[service]?.[short];
    const handler = implementation[name];
    if (told === undefined || handler === undefined) continue;
    const one = new AuditedMethod(method, told, options);
    const isStream = requestStream || responseStream;
    guarded[name] = responseStream
      ? (call: Call): unknown => one.stream(call, handler)
      : (call: Call, respond: Respond): unknown => one.unary(call, respond, handler, isStream);
  }
  return { definition, implementation: guarded };
}

class AuditedMethod {
  readonly #method: string;
  readonly #told: ToldFields;
  readonly #options: AuditedOptions;

  constructor(method: string, told: ToldFields, options: AuditedOptions) {
    this.#method = method;
    this.#told = told;
    this.#options = options;
  }

  async unary(
    call: Call,
    respond: Respond,
    handler: UntypedHandleCall,
    isStream: boolean,
  ): Promise<void> {
    const requester = this.#requesterOf(call);
    // Nothing is done while it could not be recorded.
    if (isStream || this.#options.audit.fault !== undefined)
      await this.#record(requester, 'begun', []);
    const asked = describeFields(call.request, this.#told.request);
    let answer: Answer;
    try {
      answer = await answerOf(call, handler);
    } catch (error) {
      await this.#record(requester, codeOf(error), asked);
      throw error;
    }
    const [message] = answer;
    const { refused, total } = countRefused(message);
    const outcome = refused === 0 ? 'OK' : `${refused} of ${total} refused`;
    const made = describeFields({ ids: madeIds(message) }, ['ids']);
    const told = describeFields(message, this.#told.answer ?? []);
    await this.#record(requester, outcome, [...asked, ...made, ...told]);
    respond(null, ...answer);
  }

  async stream(call: Call, handler: UntypedHandleCall): Promise<void> {
    const requester = this.#requesterOf(call);
    const asked = describeFields(call.request, this.#told.request);
    await this.#record(requester, 'begun', asked);
    try {
      await Reflect.apply(handler, undefined, [call]);
    } catch (error) {
      await this.#record(requester, codeOf(error), asked);
      throw error;
    }
    await this.#record(requester, 'OK', asked);
  }

  #requesterOf(call: Call): Requester {
    const { requester, userName } = this.#options;
    return requester?.(call) ?? requesterOf(call, userName);
  }

  /** What does not fit into one event stands in several. */
  async #record(requester: Requester, outcome: string, told: readonly string[]): Promise<void> {
    const method = this.#method;
    const [first = '', ...others] = packTexts(told);
    const events = [first, ...others].map((what) => ({
      kind: 'admin' as const,
      method,
      requester,
      outcome,
      what,
    }));
    await this.#options.audit.record(events);
  }
}

/** What a handler responds with, whether it throws, rejects or responds with an error. */
async function answerOf(call: Call, handler: UntypedHandleCall): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const respond: Respond = (error, ...answer) => (error === null ? resolve(answer) : reject(error));
  const handled = Promise.resolve(Reflect.apply(handler, undefined, [call, respond]));
  handled.catch(reject);
  return await promise;
}

function codeOf(error: unknown): string {
  return error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
}
