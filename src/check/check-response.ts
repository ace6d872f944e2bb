import { status } from '@grpc/grpc-js';
import type { Decision } from '../authz/deciding.ts';
import { writeField, writeNumber } from './proto-writer.ts';

/** What a caller that is refused is told; why stands in the metadata, which only the proxy sees. */
interface Refusal {
  readonly httpStatus: keyof typeof refusals;
  readonly code: number;
  readonly title: string;
  readonly hasBody: boolean;
}

/** Those that proxies turn into a status of gRPC as it is meant. */
const refusals = {
  401: { code: status.UNAUTHENTICATED, title: 'Unauthorized' },
  403: { code: status.PERMISSION_DENIED, title: 'Forbidden' },
  429: { code: status.RESOURCE_EXHAUSTED, title: 'Too Many Requests' },
  503: { code: status.UNAVAILABLE, title: 'Unavailable' },
} as const;

/** How a caller speaks, and so how it is refused. */
export type Speech = 'http' | 'grpc' | 'tcp';

/** What all answers for one outcome have in common. */
interface Frame {
  /** Status and response; without the response of a request whose headers are changed. */
  readonly head: Buffer;
  /** Entries of the metadata, without the decision's ID. */
  readonly metadata: Buffer;
}

/** OVERWRITE_IF_EXISTS_OR_ADD: takes the place of all lines with the name that the caller sent. */
const overwrite = writeNumber(3, 2);
const MAX_FRAMES = 10_000;
const MAX_ID_LENGTH = 64;
/** Tag and length of the metadata, where the length has three octets at most. */
const METADATA_HEAD = 4;
const METADATA_TAG = 0x22;

/**
 * Builds CheckResponses (envoy.service.auth.v3): the only place where one is made. Only
 * `allowed_by_rule` is answered with code 0.
 */
export class CheckResponses {
  #frames = new Map<string, Frame>();
  #digest: string | undefined;

  /** `id` names the decision: ASCII, at most 64 characters. */
  build(decision: Decision, speech: Speech, id: string): Buffer {
    const { head, metadata } = this.#frameOf(decision, speech);
    const changed = isAllowed(decision) && hasChanges(decision) && speech !== 'tcp';
    const parts = changed ? [head, writeField(3, okResponse(decision))] : [head];
    return assemble(parts, metadata, id);
  }

  #frameOf(decision: Decision, speech: Speech): Frame {
    const { policyDigest, policy = '', ruleId = '', reason, deniedResponse } = decision;
    if (policyDigest !== this.#digest || this.#frames.size >= MAX_FRAMES) this.#frames = new Map();
    this.#digest = policyDigest;
    const told = deniedResponse && `${deniedResponse.status} ${deniedResponse.body}`;
    const key = `${speech} ${reason} ${hasChanges(decision)} ${told} ${policy} ${ruleId}`;
    const known = this.#frames.get(key);
    if (known !== undefined) return known;
    const frame = buildFrame(decision, speech);
    this.#frames.set(key, frame);
    return frame;
  }
}

function isAllowed({ isAllowed: isSaid, reason }: Decision): boolean {
  return isSaid && reason === 'allowed_by_rule';
}

function hasChanges({ headers, removedHeaders }: Decision): boolean {
  return headers.size + removedHeaders.length > 0;
}

function buildFrame(decision: Decision, speech: Speech): Frame {
  const metadata = Buffer.concat(metadataOf(decision));
  if (!isAllowed(decision)) return { head: Buffer.concat(refusal(decision, speech)), metadata };
  const hasResponse = speech !== 'tcp' && !hasChanges(decision);
  const response = hasResponse ? [writeField(3, [])] : [];
  return { head: Buffer.concat([statusOf(status.OK), ...response]), metadata };
}

/** A failure of ours is an `error_response`, which the proxy counts as one. */
function refusal(decision: Decision, speech: Speech): readonly Buffer[] {
  const { httpStatus, code, title, hasBody } = refusalOf(decision);
  if (speech === 'tcp') return [statusOf(code)];
  const isGrpc = speech === 'grpc';
  const body = isGrpc ? title : JSON.stringify({ type: 'about:blank', title, status: httpStatus });
  const response = [
    writeField(1, [writeNumber(1, httpStatus)]),
    ...(hasBody && !isGrpc ? [problemType] : []),
    ...(hasBody ? [writeField(3, body)] : []),
  ];
  return [statusOf(code), writeField(decision.reason === 'internal_error' ? 5 : 2, response)];
}

/** As the policies have it told; a failure of ours is told as one. */
function refusalOf({ reason, deniedResponse }: Decision): Refusal {
  const httpStatus =
    reason === 'internal_error'
      ? 503
      : (deniedResponse?.status ?? (reason === 'unauthenticated' ? 401 : 403));
  return { httpStatus, ...refusals[httpStatus], hasBody: deniedResponse?.body !== 'none' };
}

function statusOf(code: number): Buffer {
  return writeField(1, [writeNumber(1, code)]);
}

function okResponse({ headers, removedHeaders }: Decision): readonly Buffer[] {
  return [
    ...[...headers].map(([name, value]) => writeField(2, header(name, value))),
    ...removedHeaders.map((name) => writeField(5, name)),
  ];
}

function header(name: string, value: string): readonly Buffer[] {
  return [writeField(1, [writeField(1, name), writeField(2, value)]), overwrite];
}

const problemType = writeField(2, header('content-type', 'application/problem+json'));

/** Entries of a google.protobuf.Struct of texts, for access logs and other filters. */
function metadataOf({ reason, policyDigest, policy, ruleId }: Decision): readonly Buffer[] {
  const texts = { reason, policy, rule: ruleId, policy_digest: policyDigest };
  return Object.entries(texts).flatMap(([name, text]) =>
    text === undefined || text === '' ? [] : [textEntry(name, text)],
  );
}

function textEntry(name: string, text: string): Buffer {
  return writeField(1, [writeField(1, name), writeField(2, [writeField(3, text)])]);
}

const idHead = Buffer.concat([
  Buffer.from([0x0a, 0, 0x0a, 11]),
  Buffer.from('decision_id'),
  Buffer.from([0x12, 0, 0x1a, 0]),
]);

/**
 * Puts an answer together: status and response, and the metadata with `id`, whose entry is written in
 * place, since it is another one each time. Its lengths have one octet each.
 */
function assemble(parts: readonly Uint8Array[], metadata: Buffer, id: string): Buffer {
  if (id.length > MAX_ID_LENGTH) throw new RangeError(`an ID has at most ${MAX_ID_LENGTH} octets`);
  const structLength = metadata.length + idHead.length + id.length;
  const size = parts.reduce((sum, part) => sum + part.length, METADATA_HEAD + structLength);
  const answer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const part of parts) {
    answer.set(part, at);
    at += part.length;
  }
  answer[at++] = METADATA_TAG;
  // A length may be written with more octets than it needs.
  answer[at++] = (structLength & 0x7f) | 0x80;
  answer[at++] = ((structLength >>> 7) & 0x7f) | 0x80;
  answer[at++] = structLength >>> 14;
  answer.set(metadata, at);
  at += metadata.length;
  answer.set(idHead, at);
  answer[at + 1] = idHead.length - 2 + id.length;
  answer[at + idHead.length - 3] = id.length + 2;
  answer[at + idHead.length - 1] = id.length;
  answer.write(id, at + idHead.length, 'latin1');
  return answer;
}
