import { headers, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { TrustplaneError } from '../spiffe/errors.ts';
import { JetStreamError, NoAnswerError, requestError } from './jetstream-errors.ts';

const TIMEOUT_MS = 2_000;

/** An answer of JetStream; its members are looked at one by one. */
export class JetStreamAnswer {
  readonly members: object;

  constructor(members: unknown) {
    this.members = typeof members === 'object' && members !== null ? members : {};
  }

  /** Undefined where there is no such member. */
  get(name: string): unknown {
    return Object.entries(this.members).find(([key]) => key === name)?.[1];
  }

  in(name: string): JetStreamAnswer {
    return new JetStreamAnswer(this.get(name));
  }

  all(name: string): JetStreamAnswer[] {
    const list = this.get(name);
    return Array.isArray(list) ? list.map((each: unknown) => new JetStreamAnswer(each)) : [];
  }

  /** @throws TrustplaneError ERR_STORE_UNAVAILABLE when it is no number */
  number(name: string): number {
    const value = this.get(name);
    if (typeof value === 'number') return value;
    throw strange(name, 'a number');
  }

  /** @throws TrustplaneError ERR_STORE_UNAVAILABLE when it is no text */
  text(name: string): string {
    const value = this.get(name);
    if (typeof value === 'string') return value;
    throw strange(name, 'a text');
  }
}

/** What a stream wrote, as it acknowledged. */
export interface Acknowledgement {
  readonly revision: number;
  /** The same message had been written before. */
  readonly isDuplicate: boolean;
}

/** Requests to JetStream, each with a time limit. Throws JetStreamError, NoAnswerError and what it cannot read. */
export class JetStreamApi {
  readonly connection: NatsConnection;
  #isConnected = true;

  constructor(connection: NatsConnection) {
    this.connection = connection;
    void this.#follow();
  }

  /** Asks `$JS.API.<verb>`. */
  async call(verb: string, request?: object): Promise<JetStreamAnswer> {
    const payload = request === undefined ? '' : JSON.stringify(request);
    return await this.#ask(`$JS.API.${verb}`, payload);
  }

  /** Writes a message. */
  async publish(subject: string, data: Uint8Array, hdrs: MsgHdrs): Promise<Acknowledgement> {
    const answer = await this.#ask(subject, data, hdrs);
    const revision = answer.number('seq');
    if (revision > 0) return { revision, isDuplicate: answer.get('duplicate') === true };
    throw strange('seq', 'the sequence of a message');
  }

  /** What is asked while there is no connection would be kept and sent late, over what others have written since. */
  async #ask(subject: string, data: Uint8Array | string, hdrs?: MsgHdrs): Promise<JetStreamAnswer> {
    if (!this.#isConnected) throw new NoAnswerError('there is no connection to NATS', false);
    const message = await this.connection
      .request(subject, data, {
        timeout: TIMEOUT_MS,
        ...(hdrs === undefined ? {} : { headers: hdrs }),
      })
      .catch((error: unknown) => {
        throw requestError(error);
      });
    const answer = new JetStreamAnswer(JSON.parse(message.string()));
    if (answer.get('error') === undefined) return answer;
    const error = answer.in('error');
    throw new JetStreamError(Number(error.get('err_code') ?? 0), String(error.get('description')));
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.connection.status()) {
      if (type === 'disconnect') this.#isConnected = false;
      if (type === 'reconnect') this.#isConnected = true;
    }
  }
}

/** Headers of a message. */
export function buildHeaders(fields: Readonly<Record<string, string>>): MsgHdrs {
  const hdrs = headers();
  for (const [name, value] of Object.entries(fields)) hdrs.set(name, value);
  return hdrs;
}

function strange(name: string, expected: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_UNAVAILABLE',
    `NATS answered without ${expected} as "${name}"; is it a nats-server of version 2.11 or later?`,
  );
}
