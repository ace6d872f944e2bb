import type { Explanation, KnownEntry, SuspensionFacts } from '../explain/index.ts';
import {
  formatSelector,
  parseSelector,
  quote,
  SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { buildEntryMessage } from '../sync/index.ts';

const MAX_PIDS = 32;
const MAX_SELECTORS = 1_000;
const MAX_NAME_CHARS = 2_048;
/** RFC 5280 §4.1.2.2: 20 octets. */
const SERIAL = /^[0-9a-f]{1,40}$/u;
const CONTAINER_ID = /^[0-9a-f]{12,64}$/u;

/** What administrators of a host ask its agent. */
export interface ExplainRequest {
  readonly pids: readonly number[];
  readonly containerId: string | undefined;
  readonly envoyNodeId: string | undefined;
  readonly resourceName: string | undefined;
  readonly spiffeId: SpiffeId | undefined;
}

export interface WireExplainRequest {
  readonly pids?: readonly number[];
  readonly container_id?: string;
  readonly envoy_node_id?: string;
  readonly resource_name?: string;
  readonly spiffe_id?: string;
}

/** What administrators ask a server, or an agent asks of itself. */
export interface WireEntryQuestion {
  readonly spiffe_id?: string;
  readonly agent_id?: string;
  readonly selectors?: readonly string[];
  /** Of administrators alone. */
  readonly serial_number?: string;
}

/**
 * The serial number that is asked about, lower-case hex without colons; undefined: none is.
 * @throws TrustplaneError ERR_API_REQUEST
 */
export function parseSerialQuestion(message: WireEntryQuestion): string | undefined {
  const { serial_number = '', spiffe_id = '', agent_id = '', selectors = [] } = message;
  if (serial_number === '') return undefined;
  if (spiffe_id !== '' || agent_id !== '' || selectors.length > 0)
    throw invalid('serial_number: expected it without a SPIFFE ID, an agent and selectors');
  const digits = serial_number.replaceAll(':', '').toLowerCase();
  if (SERIAL.test(digits)) return digits;
  throw invalid(`serial_number: expected 1 to 40 hexadecimal digits; got ${quote(serial_number)}`);
}

/** @throws TrustplaneError ERR_API_REQUEST, ERR_SPIFFE_ID_*, ERR_TRUST_DOMAIN */
export function parseExplainRequest(message: WireExplainRequest): ExplainRequest {
  const { pids = [], container_id = '', envoy_node_id = '' } = message;
  const subjects = [pids.length > 0, container_id !== '', envoy_node_id !== ''].filter(
    Boolean,
  ).length;
  if (subjects > 1 || (subjects === 0 && (message.spiffe_id ?? '') === '')) {
    throw invalid(
      'expected processes, a container, an Envoy or a SPIFFE ID, and one of the first three at most',
    );
  }
  if (pids.length > MAX_PIDS || pids.some((pid) => pid <= 0)) {
    throw invalid(`pids: expected at most ${MAX_PIDS}, each above 0; got ${pids.length}`);
  }
  if (container_id !== '' && !CONTAINER_ID.test(container_id)) {
    throw invalid(`container_id: expected 12 to 64 of 0-9, a-f; got ${quote(container_id)}`);
  }
  return {
    pids,
    containerId: unlessEmpty(container_id, 'container_id'),
    envoyNodeId: unlessEmpty(envoy_node_id, 'envoy_node_id'),
    resourceName: unlessEmpty(message.resource_name, 'resource_name'),
    spiffeId: parseId(message.spiffe_id),
  };
}

/** @throws TrustplaneError ERR_API_REQUEST, ERR_SELECTOR, ERR_SPIFFE_ID_*, ERR_TRUST_DOMAIN */
export function parseEntryQuestion({ spiffe_id, agent_id, selectors = [] }: WireEntryQuestion): {
  readonly spiffeId: SpiffeId | undefined;
  readonly agentId: SpiffeId | undefined;
  readonly selectors: readonly string[];
} {
  if (selectors.length > MAX_SELECTORS) {
    throw invalid(`selectors: expected at most ${MAX_SELECTORS}; got ${selectors.length}`);
  }
  if (selectors.length === 0 && (spiffe_id ?? '') === '') {
    throw invalid('expected a SPIFFE ID, or selectors');
  }
  const texts = selectors.map((text) => formatSelector(parseSelector(text)));
  return {
    spiffeId: parseId(spiffe_id),
    agentId: parseId(agent_id),
    selectors: [...new Set(texts)].sort(),
  };
}

export function buildExplanations(explanations: readonly Explanation[]): object {
  return {
    explanations: explanations.map(({ subject, verdict, findings, facts }) => ({
      subject,
      verdict,
      findings: findings.map(({ code, message, nextStep, entryId, spiffeId }) => ({
        code,
        message,
        next_step: nextStep,
        entry_id: entryId,
        spiffe_id: spiffeId,
      })),
      facts: facts.map(({ source, text, at = 0 }) => ({
        source,
        text,
        at: String(Math.floor(at)),
      })),
    })),
  };
}

/** Who did it is the server's administrators' to know. */
export function buildSuspension(suspension: SuspensionFacts | undefined): object | undefined {
  if (suspension === undefined) return undefined;
  const { kind, value, since, reason } = suspension;
  return { kind, value, since: String(since), reason };
}

export function buildStandingEntry({ entry, gone, suspension }: KnownEntry): object {
  return {
    entry: buildEntryMessage(entry),
    gone_at: String(gone?.at ?? 0),
    was_deleted: gone?.how === 'deleted',
    ...(suspension && { suspension: buildSuspension(suspension) }),
  };
}

function unlessEmpty(text: string | undefined, field: string): string | undefined {
  if (text === undefined || text === '') return undefined;
  if (text.length <= MAX_NAME_CHARS) return text;
  throw invalid(`${field}: expected at most ${MAX_NAME_CHARS} characters; got ${text.length}`);
}

function parseId(text: string | undefined): SpiffeId | undefined {
  return text === undefined || text === '' ? undefined : SpiffeId.parse(text);
}

function invalid(message: string): TrustplaneError {
  return new TrustplaneError('ERR_API_REQUEST', message);
}
