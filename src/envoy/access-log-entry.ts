import { type JsonObject, messageOf, parseJson, quote, TrustplaneError } from '../spiffe/index.ts';

/** The most that a line may have. */
export const maxAccessLogLineBytes = 131_072;
const MAX_DEPTH = 8;

/** What a tree of RBAC came to: `name` is its action's. */
export interface RbacVerdict {
  readonly isAllowed: boolean;
  readonly name: string | undefined;
}

/** What a line of an access log tells; undefined: it does not tell. */
export interface AccessLogEntry {
  /** Milliseconds. */
  readonly time?: number | undefined;
  readonly method?: string | undefined;
  /** With the query. */
  readonly path?: string | undefined;
  readonly authority?: string | undefined;
  readonly status?: number | undefined;
  readonly details?: string | undefined;
  /** URI SANs of the caller's certificate, joined by commas. */
  readonly peer?: string | undefined;
  readonly sourceIp?: string | undefined;
  readonly destinationPort?: number | undefined;
  readonly requestId?: string | undefined;
  /** URI SANs of the certificate that was shown to the caller. */
  readonly service?: string | undefined;
  /** It has the fields of a line, and not only what the filters came to. */
  readonly isWhole: boolean;
  /** Of RBAC: what took effect. */
  readonly enforced?: RbacVerdict | undefined;
  /** Of RBAC before Check: what Envoy would do alone; Check is asked unless it allows. */
  readonly alone?: RbacVerdict | undefined;
  /** Of RBAC: what it would be with all stages enforced. */
  readonly draft?: RbacVerdict | undefined;
  /** Of Check, as it said. */
  readonly check?: CheckVerdict | undefined;
}

interface CheckVerdict {
  readonly reason: string;
  readonly policy: string | undefined;
  readonly rule: string | undefined;
  readonly policyDigest: string | undefined;
}

const DENIED = /^rbac_access_denied_matched_policy\[(?<name>[^\][]{0,200})\]$/u;
const VERDICT = /^(?<prefix>.*?)(?<mode>enforced|shadow)_engine_result$/u;
const ALONE = 'tp_alone_';
const DRAFT = 'tp_draft_';

/**
 * Parses a line of the access logs that our bootstraps write, or of it only what RBAC left: its
 * dynamic metadata as JSON, or `rbac_access_denied_matched_policy[...]`. Fields that others add are let be.
 * @throws TrustplaneError ERR_ACCESS_LOG
 */
export function parseAccessLogEntry(text: string): AccessLogEntry {
  const line = text.trim();
  const denied = deniedBy(line);
  if (denied !== undefined) return { isWhole: false, details: line, enforced: denied };
  const value = parseObject(line);
  const entry = [...value.keys()].some((key) => VERDICT.test(key))
    ? { isWhole: false, ...verdictsOf(value) }
    : wholeEntry(value);
  if (entry.isWhole || entry.enforced !== undefined || entry.alone !== undefined) return entry;
  throw refused('it has neither the fields of an access log nor what RBAC came to');
}

function parseObject(line: string): JsonObject {
  if (!line.startsWith('{'))
    throw refused(
      `expected a JSON object or rbac_access_denied_matched_policy[...], got ${quote(line, 40)}`,
    );
  try {
    const limits = { maxBytes: maxAccessLogLineBytes, maxDepth: MAX_DEPTH };
    const value = parseJson(line, limits);
    if (isObject(value)) return value;
  } catch (cause) {
    throw refused(messageOf(cause), cause);
  }
  throw refused('expected a JSON object');
}

function wholeEntry(value: JsonObject): AccessLogEntry {
  const details = textOf(value, 'details');
  const rbac = value.get('rbac');
  const verdicts = isObject(rbac) ? verdictsOf(rbac) : {};
  const enforced = verdicts.enforced ?? (details === undefined ? undefined : deniedBy(details));
  return {
    time: timeOf(value),
    method: textOf(value, 'method'),
    path: textOf(value, 'path'),
    authority: textOf(value, 'authority'),
    status: numberOf(value, 'status', 999),
    details,
    peer: textOf(value, 'peer'),
    sourceIp: textOf(value, 'sourceIp'),
    destinationPort: numberOf(value, 'destinationPort', 65_535),
    requestId: textOf(value, 'requestId'),
    service: textOf(value, 'service'),
    isWhole: ['peer', 'details', 'rbac'].some((name) => value.has(name)),
    ...verdicts,
    enforced,
    check: checkOf(value.get('extAuthz')),
  };
}

function verdictsOf(metadata: JsonObject): Pick<AccessLogEntry, 'enforced' | 'alone' | 'draft'> {
  const found = new Map<string, RbacVerdict>();
  for (const key of metadata.keys()) {
    const { prefix = '', mode = '' } = VERDICT.exec(key)?.groups ?? {};
    const verdict = verdictOf(metadata, `${prefix}${mode}`);
    if (verdict === undefined) continue;
    // Of several filters that enforce, ours is meant.
    if (mode === 'shadow') found.set(prefix, verdict);
    else if (prefix === 'tp_' || !found.has('')) found.set('', verdict);
  }
  return { enforced: found.get(''), alone: found.get(ALONE), draft: found.get(DRAFT) };
}

function verdictOf(metadata: JsonObject, prefix: string): RbacVerdict | undefined {
  const result = metadata.get(`${prefix}_engine_result`);
  if (result === undefined) return undefined;
  if (result !== 'allowed' && result !== 'denied')
    throw refused(`${prefix}_engine_result is neither "allowed" nor "denied"`);
  return {
    isAllowed: result === 'allowed',
    name: textOf(metadata, `${prefix}_effective_policy_id`),
  };
}

function deniedBy(details: string): RbacVerdict | undefined {
  const name = DENIED.exec(details)?.groups?.['name'];
  if (name === undefined) return undefined;
  return { isAllowed: false, name: name === '' || name === 'none' ? undefined : name };
}

function checkOf(value: unknown): CheckVerdict | undefined {
  if (!isObject(value)) return undefined;
  const reason = textOf(value, 'reason');
  return reason === undefined
    ? undefined
    : {
        reason,
        policy: textOf(value, 'policy'),
        rule: textOf(value, 'rule'),
        policyDigest: textOf(value, 'policy_digest'),
      };
}

function timeOf(value: JsonObject): number | undefined {
  const text = textOf(value, 'time');
  if (text === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/u.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw refused(`time is no RFC 3339 instant: ${quote(text, 40)}`);
  return time;
}

/** Envoy writes `-` where it has no value, or null. */
function textOf(value: JsonObject, name: string): string | undefined {
  const text = value.get(name);
  if (text === undefined || text === null || text === '' || text === '-') return undefined;
  if (typeof text === 'string') return text;
  throw refused(`${name} is no text`);
}

function numberOf(value: JsonObject, name: string, most: number): number | undefined {
  const given = value.get(name);
  if (given === undefined || given === null || given === '-') return undefined;
  const number = typeof given === 'string' && /^\d{1,5}$/u.test(given) ? Number(given) : given;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= most)
    return number;
  throw refused(`${name} is no number of at most ${most}`);
}

function isObject(value: unknown): value is JsonObject {
  return value instanceof Map;
}

function refused(why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError('ERR_ACCESS_LOG', `no line of an access log: ${why}`, { cause });
}
