import type { z } from 'zod';
import {
  buildCsr,
  type Clock,
  encodePem,
  generateP256KeyPair,
  TrustplaneError,
} from '../../spiffe/index.ts';
import {
  type Authorization,
  authorizationMessage,
  describeProblem,
  type Order,
  orderMessage,
} from './acme-messages.ts';
import type { AcmeSession, Answered } from './acme-session.ts';
import { pauseOrThrow } from './pause-or-throw.ts';

const CHALLENGE = 'tls-alpn-01';
const FIRST_POLL_MS = 1_000;
const LONGEST_POLL_MS = 30_000;
const MAX_POLLS = 40;

export interface OrderOptions {
  readonly session: AcmeSession;
  readonly domainNames: readonly string[];
  /** Lets the authority see the proof for the name until it resolves or throws. */
  prove<T>(domainName: string, keyAuthorization: string, work: () => Promise<T>): Promise<T>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What an ACME authority issued. */
export interface OrderedCertificate {
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM, made for it. */
  readonly key: string;
}

/**
 * Has a certificate for the names issued (RFC 8555, section 7.4): proves control of each by
 * tls-alpn-01, sends the request, fetches the chain.
 * @throws TrustplaneError ERR_ACME_*
 */
export async function orderCertificate(options: OrderOptions): Promise<OrderedCertificate> {
  const { session, domainNames } = options;
  const identifiers = domainNames.map((value) => ({ type: 'dns', value }));
  const { message: order, location } = await session.newOrder(orderMessage, { identifiers });
  for (const url of order.authorizations) await authorize(url, options);
  const isReady = ({ status }: Order): boolean => status !== 'pending';
  expectOrder(await poll(orderMessage, location, isReady, options), 'ready');
  const keys = generateP256KeyPair();
  const csr = Buffer.from(buildCsr({ ...keys, dnsNames: domainNames })).toString('base64url');
  await session.send(orderMessage, order.finalize, { csr });
  const isDone = ({ status }: Order): boolean => status === 'valid' || status === 'invalid';
  const done = await poll(orderMessage, location, isDone, options);
  expectOrder(done, 'valid');
  if (done.certificate === undefined) throw unexpected('the valid order has no certificate');
  const chain = await session.readText(done.certificate);
  return { chain, key: encodePem('PRIVATE KEY', keys.privateKey) };
}

async function authorize(url: string, options: OrderOptions): Promise<void> {
  const { session, domainNames } = options;
  const { message } = await session.send(authorizationMessage, url);
  if (message.status === 'valid') return;
  const name = message.identifier.value;
  if (!domainNames.includes(name)) throw unexpected(`it asks for a proof for ${name}`);
  const challenge = message.challenges.find(({ type }) => type === CHALLENGE);
  if (challenge?.token === undefined) {
    const offered = message.challenges.map(({ type }) => type).join(', ');
    throw failed(name, `expected the challenge ${CHALLENGE}; it offers ${offered}`);
  }
  const isJudged = ({ status }: Authorization): boolean => status !== 'pending';
  const keyAuthorization = `${challenge.token}.${session.key.thumbprint}`;
  const judged = await options.prove(name, keyAuthorization, async () => {
    await session.respond(challenge.url);
    return await poll(authorizationMessage, url, isJudged, options);
  });
  if (judged.status === 'valid') return;
  const error = judged.challenges.find(({ type }) => type === CHALLENGE)?.error;
  throw failed(name, error === undefined ? judged.status : describeProblem(error));
}

/** Reads until it is as wanted. */
async function poll<T>(
  schema: z.ZodType<T>,
  url: string,
  isWanted: (message: T) => boolean,
  { session, clock, signal }: OrderOptions,
): Promise<T> {
  for (let polls = 1; ; polls++) {
    const { message, retryAfterMs }: Answered<T> = await session.send(schema, url);
    if (isWanted(message)) return message;
    if (polls === MAX_POLLS) throw unexpected(`${url} has not become what it should in time`);
    const delayMs = retryAfterMs ?? FIRST_POLL_MS * polls;
    await pauseOrThrow(clock, Math.min(delayMs, LONGEST_POLL_MS), signal);
  }
}

function expectOrder({ status, error }: Order, expected: Order['status']): void {
  if (status === expected) return;
  const why = error === undefined ? status : describeProblem(error);
  throw new TrustplaneError('ERR_ACME_REFUSED', `the ACME authority refused the order: ${why}`);
}

function failed(domainName: string, why: string): TrustplaneError {
  const message = `the ACME authority did not validate ${domainName}: ${why}`;
  return new TrustplaneError('ERR_ACME_CHALLENGE', message);
}

function unexpected(why: string): TrustplaneError {
  return new TrustplaneError('ERR_ACME_ANSWER', `the ACME authority misbehaves: ${why}`);
}
