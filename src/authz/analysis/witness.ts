import { SpiffeId } from '../../spiffe/spiffe-id.ts';
import type { AccessRequest } from '../access-request.ts';
import type { Credential, PolicyTest } from '../policy.ts';
import type { Draft } from './draft.ts';
import { hostKind, idKind } from './value-cells.ts';

/** A request that shows what was found: as it is asked, and as the entry of `tests` that asks it. */
export interface Witness {
  readonly request: AccessRequest;
  readonly test: WitnessTest;
  /** In a few words, for messages. */
  readonly text: string;
}

/** As in a file; what a test of a policy has, and its times as texts. */
export interface WitnessTest
  extends Pick<
    PolicyTest,
    'as' | 'host' | 'headers' | 'jwt' | 'ip' | 'destinationIp' | 'port' | 'rule' | 'map'
  > {
  readonly credential?: Credential;
  readonly request?: string;
  readonly at?: string;
  readonly expect?: 'allow' | 'deny';
}

export function witnessOf(draft: Draft, service: AccessRequest['service']): Witness {
  const { caller, credential, method, host, port, sourceIp, destinationIp, now } = draft;
  const callerId = caller && idKind.textOf(caller);
  const target = targetOf(draft);
  const hostText = host && hostKind.textOf(host);
  const claims = draft.claims.size === 0 ? undefined : Object.fromEntries(draft.claims);
  const headers = Object.fromEntries([...draft.headers].filter(([, lines]) => lines.length > 0));
  const request: AccessRequest = {
    service,
    caller: callerId === undefined ? 'unauthenticated' : SpiffeId.parse(callerId),
    credential,
    http:
      method === undefined
        ? undefined
        : {
            method,
            target,
            host: hostText,
            headers: (name) => (Object.hasOwn(headers, name) ? (headers[name] ?? []) : []),
          },
    bodyBytes: 0,
    claims,
    sourceIp,
    destinationIp,
    destinationPort: port,
    now,
  };
  const test: WitnessTest = {
    ...(callerId !== undefined && { as: callerId }),
    ...(callerId !== undefined && credential !== 'x509-svid' && { credential }),
    ...(method !== undefined && { request: `${method} ${target}` }),
    ...(hostText !== undefined && { host: hostText }),
    ...(Object.keys(headers).length > 0 && { headers: mapValues(headers, oneOrList) }),
    ...(claims !== undefined && { jwt: claims }),
    ...(sourceIp !== undefined && { ip: sourceIp }),
    ...(destinationIp !== undefined && { destinationIp }),
    ...(port !== undefined && { port }),
    ...(now !== 0 && { at: new Date(now).toISOString().replace('.000Z', 'Z') }),
  };
  return { request, test, text: textOf(test) };
}

/** An entry of `tests`, on one line of YAML. */
export function formatTest(test: WitnessTest): string {
  return `- ${flow(test)}`;
}

function textOf({ as, request, credential, ...more }: WitnessTest): string {
  const who = as ?? 'a caller without identity';
  const how = credential === undefined ? '' : ` (${credential})`;
  const what = request === undefined ? 'a connection without HTTP' : request;
  const further = Object.entries(more).map(([name, value]) => `${name} ${flow(value)}`);
  return [`${who}${how}: ${what}`, ...further].join(', ');
}

function targetOf({ path, query }: Draft): string {
  const pairs = [...query].flatMap(([key, values]) =>
    values.map((value) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`),
  );
  const text = `/${path.join('/')}`;
  return pairs.length === 0 ? text : `${text}?${pairs.join('&')}`;
}

function oneOrList(lines: readonly string[]): string | readonly string[] {
  const [only] = lines;
  return lines.length === 1 && only !== undefined ? only : lines;
}

function mapValues<T, R>(
  record: Readonly<Record<string, T>>,
  change: (value: T) => R,
): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Plain where YAML reads it as the same text. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, one]) => `${flow(key)}: ${flow(one)}`);
    return `{ ${pairs.join(', ')} }`;
  }
  if (typeof value !== 'string') return JSON.stringify(value);
  const isPlain =
    /^[A-Za-z/](?:[\w/.:-]*[\w/.-])?(?: [\w/.-]+)?$/u.test(value) &&
    !/^(?:true|false|null|yes|no|on|off|y|n)$/iu.test(value);
  const isNumbers = /^(?:\d{4}-\d{2}-\d{2}T[\d:.]+Z|\d+\.\d+\.\d+\.\d+)$/u.test(value);
  return isPlain || isNumbers ? value : JSON.stringify(value);
}
