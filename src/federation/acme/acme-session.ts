import type { z } from 'zod';
import { TrustplaneError } from '../../spiffe/index.ts';
import type { AccountKey } from './account-key.ts';
import { type Directory, directoryMessage, readMessage, readProblem } from './acme-messages.ts';
import type { AcmeResponse, AcmeTransport } from './acme-transport.ts';

const BAD_NONCE = 'urn:ietf:params:acme:error:badNonce';
const ATTEMPTS = 4;

export interface AcmeAccount {
  readonly directoryUrl: string;
  readonly key: AccountKey;
  readonly email: string | undefined;
}

/** A refusal or failure of an ACME authority. */
export class AcmeError extends TrustplaneError {
  /** How long it wants to be left alone; undefined: it does not say. */
  readonly retryAfterMs: number | undefined;

  constructor(code: 'ERR_ACME_REFUSED' | 'ERR_ACME_UNAVAILABLE', text: string, ms?: number) {
    super(code, text);
    this.retryAfterMs = ms;
  }
}

/** What was read, where it is, and how long to wait before it is asked for again. */
export interface Answered<T> {
  readonly message: T;
  readonly location: string;
  readonly retryAfterMs: number | undefined;
}

/** Signed requests of one account (RFC 8555, section 6). All throw TrustplaneError ERR_ACME_*. */
export class AcmeSession {
  readonly key: AccountKey;
  readonly #transport: AcmeTransport;
  readonly #directory: Directory;
  #account = '';
  #nonce: string | undefined;

  private constructor(transport: AcmeTransport, key: AccountKey, directory: Directory) {
    this.#transport = transport;
    this.key = key;
    this.#directory = directory;
  }

  /** Registers the account, or finds it; its terms of service are accepted. */
  static async open(transport: AcmeTransport, account: AcmeAccount): Promise<AcmeSession> {
    const { directoryUrl, key, email } = account;
    const found = await transport({ method: 'GET', url: directoryUrl });
    if (found.status !== 200) throw refused('its directory', found);
    const directory = readMessage(directoryMessage, found.body);
    if (directory.meta?.externalAccountRequired === true) {
      const why = 'the ACME authority wants accounts that are bound to another one (EAB)';
      throw new AcmeError('ERR_ACME_REFUSED', why);
    }
    const session = new AcmeSession(transport, key, directory);
    const contact = email === undefined ? {} : { contact: [`mailto:${email}`] };
    await session.#register({ termsOfServiceAgreed: true, ...contact });
    return session;
  }

  async newOrder<T>(schema: z.ZodType<T>, payload: object): Promise<Answered<T>> {
    return await this.send(schema, this.#directory.newOrder, payload);
  }

  /** Without payload it reads (POST-as-GET). */
  async send<T>(schema: z.ZodType<T>, url: string, payload?: object): Promise<Answered<T>> {
    const response = await this.#post(url, payload);
    return {
      message: readMessage(schema, response.body),
      location: locationOf(response),
      retryAfterMs: retryAfterOf(response),
    };
  }

  /** Says that the proof can be looked at. */
  async respond(challengeUrl: string): Promise<void> {
    await this.#post(challengeUrl, {});
  }

  async readText(url: string): Promise<string> {
    return (await this.#post(url, undefined)).body;
  }

  async #register(payload: object): Promise<void> {
    const account = locationOf(await this.#post(this.#directory.newAccount, payload));
    if (account === '') throw new TrustplaneError('ERR_ACME_ANSWER', 'the account has no URL');
    this.#account = account;
  }

  async #post(url: string, payload: object | undefined): Promise<AcmeResponse> {
    for (let attempt = 1; ; attempt++) {
      const nonce = this.#nonce ?? (await this.#fetchNonce());
      this.#nonce = undefined;
      const who = this.#account === '' ? { jwk: this.key.jwk } : { kid: this.#account };
      const body = this.key.sign({ ...who, nonce, url }, payload);
      const response = await this.#transport({ method: 'POST', url, body });
      this.#nonce = nonceOf(response);
      if (response.status < 300) return response;
      const isStale = readProblem(response.body).type === BAD_NONCE;
      if (!isStale || attempt === ATTEMPTS) throw refused(url, response);
    }
  }

  async #fetchNonce(): Promise<string> {
    const url = this.#directory.newNonce;
    const response = await this.#transport({ method: 'HEAD', url });
    const nonce = nonceOf(response);
    if (response.status >= 300 || nonce === undefined) throw refused(url, response);
    return nonce;
  }
}

function nonceOf({ headers }: AcmeResponse): string | undefined {
  const nonce = headers['replay-nonce'];
  return typeof nonce === 'string' && /^[A-Za-z0-9_-]{1,512}$/u.test(nonce) ? nonce : undefined;
}

function locationOf({ headers }: AcmeResponse): string {
  return headers.location ?? '';
}

/** Of seconds or an HTTP date, of which only seconds are read (RFC 9110, section 10.2.3). */
function retryAfterOf({ headers }: Pick<AcmeResponse, 'headers'>): number | undefined {
  const text = headers['retry-after'];
  return text !== undefined && /^\d{1,6}$/u.test(text) ? Number(text) * 1_000 : undefined;
}

function refused(what: string, response: AcmeResponse): AcmeError {
  const { text } = readProblem(response.body);
  const code = response.status >= 500 ? 'ERR_ACME_UNAVAILABLE' : 'ERR_ACME_REFUSED';
  const message = `the ACME authority answered ${what} with ${response.status}, ${text}`;
  return new AcmeError(code, message, retryAfterOf(response));
}
