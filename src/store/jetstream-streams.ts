import { TrustplaneError } from '../spiffe/errors.ts';
import type { JetStreamAnswer, JetStreamApi } from './jetstream-api.ts';
import { JetStreamError, NO_STREAM, NoAnswerError } from './jetstream-errors.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { storeLimits } from './store-rules.ts';

/** Room for what a message has besides its value. */
const HEADER_BYTES = 2_048;
/** An equal message within is known for the same; longer than any is tried again. */
const DUPLICATE_WINDOW_NANOS = 60_000_000_000;
const NAME_IN_USE = 10058;

/** The size that the server's max_payload must allow. */
export const maxMessageBytes: number = storeLimits.maxValueBytes + HEADER_BYTES;

/** What is asked of every stream, and looked at in one that is there already. */
const REQUIRED: Readonly<Record<string, unknown>> = {
  retention: 'limits',
  storage: 'file',
  discard: 'new',
  max_msgs: -1,
  max_age: 0,
  max_msgs_per_subject: 1,
  max_msg_size: maxMessageBytes,
  duplicate_window: DUPLICATE_WINDOW_NANOS,
  // Any replica would answer, also one that is behind.
  allow_direct: false,
  allow_rollup_hdrs: false,
  allow_msg_ttl: false,
  deny_purge: true,
  sealed: false,
};

/** Which servers hold a stream. */
export interface StreamReplicas {
  readonly replicas: number;
  /** Names of servers; the leader first, when there is one. */
  readonly servers: readonly string[];
}

export async function hasStream(api: JetStreamApi, place: JetStreamPlace): Promise<boolean> {
  try {
    await api.call(`STREAM.INFO.${place.stream}`);
    return true;
  } catch (error) {
    if (error instanceof JetStreamError && error.code === NO_STREAM) return false;
    throw error;
  }
}

/** Makes a stream, unless another server is faster. @throws JetStreamError, NoAnswerError */
export async function createStream(
  api: JetStreamApi,
  place: JetStreamPlace,
  replicas: number,
): Promise<void> {
  try {
    await api.call(`STREAM.CREATE.${place.stream}`, {
      ...REQUIRED,
      name: place.stream,
      subjects: [place.subjects],
      num_replicas: replicas,
      description: `trustplane: ${place.bucket}`,
    });
  } catch (error) {
    // How it is made the caller checks.
    if (!(error instanceof JetStreamError) || error.code !== NAME_IN_USE) throw error;
  }
}

/**
 * Refuses a stream, made before, that would lose or hide records; raises its replicas where there are too few.
 * @throws TrustplaneError ERR_STORE_UNSAFE, JetStreamError, NoAnswerError
 */
export async function checkStream(
  api: JetStreamApi,
  place: JetStreamPlace,
  replicas: number,
): Promise<StreamReplicas> {
  const info = await fetchInfo(api, place);
  const config = info.in('config');
  const wrong = Object.entries(REQUIRED).find(([name, value]) => config.get(name) !== value);
  if (wrong !== undefined) {
    const [name, value] = wrong;
    throw new TrustplaneError(
      'ERR_STORE_UNSAFE',
      `the stream ${place.stream} has ${name} ${String(config.get(name))}, expected ${String(value)}; set it with "nats stream edit"`,
    );
  }
  if (config.number('num_replicas') >= replicas) return replicasOf(info);
  const raised = { ...config.members, num_replicas: replicas };
  return replicasOf(await api.call(`STREAM.UPDATE.${place.stream}`, raised));
}

/** Where another server makes it at the same time it is known by name before it is there. */
async function fetchInfo(api: JetStreamApi, { stream }: JetStreamPlace): Promise<JetStreamAnswer> {
  try {
    return await api.call(`STREAM.INFO.${stream}`);
  } catch (error) {
    if (!(error instanceof JetStreamError) || error.code !== NO_STREAM) throw error;
    throw new NoAnswerError(`the stream ${stream} is not there yet`, false, error);
  }
}

function replicasOf(info: JetStreamAnswer): StreamReplicas {
  const cluster = info.in('cluster');
  const leader = cluster.get('leader');
  const others = cluster.all('replicas').map((replica) => replica.text('name'));
  return {
    replicas: info.in('config').number('num_replicas'),
    servers: typeof leader === 'string' ? [leader, ...others] : others,
  };
}
