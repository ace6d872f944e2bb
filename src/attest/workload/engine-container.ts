import { type JsonValue, messageOf, parseJson, TrustplaneError } from '../../spiffe/index.ts';

/** More are of nobody who made them on purpose; each becomes a selector. */
const MAX_LABELS = 1_000;

/** What an engine says of a container (Docker's `GET /containers/{id}/json`, which Podman has too). */
export interface EngineContainer {
  /** Of the whole answer, which the texts below may keep in memory. */
  readonly answerBytes: number;
  readonly isRunning: boolean;
  /** Of its first process; 0 while there is none. */
  readonly pid: number;
  /** Another one after each start. */
  readonly startedAt: string;
  readonly labels: ReadonlyMap<string, string>;
  /** `NAME=value` each. */
  readonly env: readonly string[];
  /** As it was named when the container was made. */
  readonly image: string;
  /** `sha256:` and 64 hexadecimal digits: of the image it was made of, whatever the name is of now. */
  readonly imageDigest: string | undefined;
}

/** @throws TrustplaneError ERR_ATTEST_ANSWER */
export function parseEngineContainer(body: Uint8Array, id: string): EngineContainer {
  const answer = parse(body);
  if (text(answer, 'Id') !== id) throw malformed('it is of another container than was asked for');
  const state = member(answer, 'State');
  const config = member(answer, 'Config');
  const pid = member(state, 'Pid');
  const isRunning = member(state, 'Running');
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 0) throw malformed('no State.Pid');
  if (typeof isRunning !== 'boolean') throw malformed('no State.Running');
  const digest = text(answer, 'Image');
  return {
    answerBytes: body.length,
    isRunning,
    pid,
    startedAt: text(state, 'StartedAt'),
    labels: labelsOf(member(config, 'Labels')),
    env: envOf(member(config, 'Env')),
    image: text(config, 'Image'),
    imageDigest: /^sha256:[0-9a-f]{64}$/u.test(digest) ? digest : undefined,
  };
}

function parse(body: Uint8Array): JsonValue {
  try {
    return parseJson(body);
  } catch (error) {
    throw malformed(messageOf(error));
  }
}

function labelsOf(value: JsonValue | undefined): ReadonlyMap<string, string> {
  if (value === null || value === undefined) return new Map();
  if (!(value instanceof Map)) throw malformed('Config.Labels is no object');
  if (value.size > MAX_LABELS)
    throw malformed(`it has ${value.size} labels; at most ${MAX_LABELS} are allowed`);
  return new Map([...value].map(([key, label]) => [key, requireText(label, 'a label')]));
}

function envOf(value: JsonValue | undefined): readonly string[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw malformed('Config.Env is no list');
  return value.map((each: JsonValue) => requireText(each, 'a variable'));
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}

function text(value: JsonValue | undefined, name: string): string {
  return requireText(member(value, name), name);
}

function requireText(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string') return value;
  throw malformed(`${what} is no text`);
}

function malformed(why: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_ANSWER',
    `the container engine's answer is not understood: ${why}`,
  );
}
