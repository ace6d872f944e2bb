import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { pause, readBytes } from '../ops/index.ts';
import {
  type Clock,
  type JsonValue,
  messageOf,
  parseJson,
  TrustplaneError,
} from '../spiffe/index.ts';

const TIMEOUT_MS = 5_000;
const ATTEMPTS = 3;
const FIRST_PAUSE_MS = 100;
const MAX_SOCKETS = 32;
const MAX_BYTES = 1_048_576;

export interface VaultClientOptions {
  /** `https://host:port` */
  readonly address: string;
  readonly namespace: string | undefined;
  /** PEM; undefined: the machine's certificate authorities. */
  readonly certificateAuthorities: string | undefined;
  readonly clock: Clock;
}

export type VaultMethod = 'GET' | 'POST' | 'DELETE';

/** What Vault answered that is no failure of its own. */
export interface VaultAnswer {
  readonly status: number;
  /** Undefined when there was no body. */
  readonly body: JsonValue | undefined;
}

/** HTTPS to one Vault or OpenBao, with retries; connections are kept. */
export interface VaultClient {
  /**
   * Resolves with any answer below 500, and tries again where it is of use.
   * @throws TrustplaneError ERR_VAULT_UNAVAILABLE
   */
  call(
    method: VaultMethod,
    path: string,
    options?: { readonly token?: string; readonly body?: object },
  ): Promise<VaultAnswer>;
  close(): void;
}

export function createVaultClient(options: VaultClientOptions): VaultClient {
  const { address, namespace, certificateAuthorities, clock } = options;
  const agent = new Agent({
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    minVersion: 'TLSv1.2',
    ...(certificateAuthorities !== undefined && { ca: certificateAuthorities }),
  });
  return {
    async call(method, path, { token, body } = {}) {
      const headers = {
        'X-Vault-Request': 'true',
        ...(token !== undefined && { 'X-Vault-Token': token }),
        ...(namespace !== undefined && { 'X-Vault-Namespace': namespace }),
      };
      for (let attempt = 1; ; attempt++) {
        try {
          const answer = await ask(new URL(`/v1/${path}`, address), {
            agent,
            method,
            headers,
            body,
          });
          if (answer.status < 500 && answer.status !== 429) return answer;
          throw new Error(`HTTP ${answer.status}${errorsOf(answer)}`);
        } catch (cause) {
          if (attempt === ATTEMPTS) throw unavailable(address, method, path, cause);
        }
        await pause(clock, FIRST_PAUSE_MS * 4 ** (attempt - 1));
      }
    },
    close: () => agent.destroy(),
  };
}

/** The reasons that Vault gives, for messages; empty when it gives none. */
export function errorsOf({ body }: VaultAnswer): string {
  const errors = memberOf(body, 'errors');
  const texts = Array.isArray(errors) ? errors.filter((text) => typeof text === 'string') : [];
  return texts.length === 0 ? '' : `: ${texts.join('; ').slice(0, 300)}`;
}

/** What stands in a JSON document at the path of member names; undefined when nothing does. */
export function memberOf(
  body: JsonValue | undefined,
  ...path: readonly string[]
): JsonValue | undefined {
  let value = body;
  for (const name of path) value = value instanceof Map ? value.get(name) : undefined;
  return value;
}

function ask(
  url: URL,
  options: {
    readonly agent: Agent;
    readonly method: VaultMethod;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: object | undefined;
  },
): Promise<VaultAnswer> {
  const { body, ...rest } = options;
  const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const call = request(url, { ...rest, timeout: TIMEOUT_MS }, (response) => {
      resolve(readAnswer(response));
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    call.on('error', reject);
    if (sent !== undefined) call.setHeader('Content-Type', 'application/json');
    call.end(sent);
  });
}

async function readAnswer(response: IncomingMessage): Promise<VaultAnswer> {
  const body = parseBody(await readBytes(response, MAX_BYTES));
  return { status: response.statusCode ?? 0, body };
}

function parseBody(bytes: Buffer): JsonValue | undefined {
  return bytes.length === 0 ? undefined : parseJson(bytes.toString());
}

function unavailable(
  address: string,
  method: string,
  path: string,
  cause: unknown,
): TrustplaneError {
  return new TrustplaneError(
    'ERR_VAULT_UNAVAILABLE',
    `${method} ${address}/v1/${path}: ${messageOf(cause)}`,
    { cause },
  );
}
