import { type JsonObject, type JsonValue, messageOf, parseJson } from '../../../spiffe/index.ts';
import type { AskHttp, HttpAnswer, HttpQuestion } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import type { KubeAccess } from './kube-access.ts';

/** Of an object of the API: a node lists the images it has. */
const MAX_ANSWER_BYTES = 2 << 20;

/** What is asked of an API server. */
export interface KubeApi {
  /** The status of a TokenReview. @throws TrustplaneError ERR_NODE_ATTEST_API */
  reviewToken(token: string, audiences: readonly string[]): Promise<JsonObject>;
  /** Undefined: there is none. @throws TrustplaneError ERR_NODE_ATTEST_API */
  findPod(namespace: string, name: string): Promise<JsonObject | undefined>;
  findNode(name: string): Promise<JsonObject | undefined>;
}

/** `access` is asked each time, so that a token that was renewed is used. */
export function createKubeApi(options: {
  readonly access: () => Promise<KubeAccess>;
  readonly openAsk: (access: KubeAccess) => AskHttp;
}): KubeApi {
  const call = async (path: string, question: HttpQuestion = {}): Promise<HttpAnswer> => {
    const access = await options.access();
    const { token } = access;
    const headers = {
      Accept: 'application/json',
      ...(question.body !== undefined && { 'Content-Type': 'application/json' }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    };
    try {
      const ask = options.openAsk(access);
      return await ask(access.server + path, { ...question, headers, maxBytes: MAX_ANSWER_BYTES });
    } catch (error) {
      throw failed(path, messageOf(error), error);
    }
  };
  const find = async (path: string, kind: string): Promise<JsonObject | undefined> => {
    const answer = await call(path);
    return answer.status === 404 ? undefined : readObject(path, answer, kind);
  };
  return {
    async reviewToken(token, audiences) {
      const path = '/apis/authentication.k8s.io/v1/tokenreviews';
      const kind = 'TokenReview';
      const spec = { token, audiences };
      const body = JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind, spec });
      const review = readObject(path, await call(path, { method: 'POST', body }), kind);
      const status = review.get('status');
      if (status instanceof Map) return status;
      throw failed(path, 'the TokenReview has no status');
    },
    findPod: async (namespace, name) =>
      await find(`/api/v1/namespaces/${namespace}/pods/${name}`, 'Pod'),
    findNode: async (name) => await find(`/api/v1/nodes/${name}`, 'Node'),
  };
}

function readObject(path: string, { status, body }: HttpAnswer, kind: string): JsonObject {
  if (status === 401 || status === 403) {
    const why = `it allows this server no ${kind} (status ${status}): see to its RBAC and its token`;
    throw failed(path, why);
  }
  if (status !== 200 && status !== 201) throw failed(path, `it answers with status ${status}`);
  const value = parsed(path, body);
  if (value instanceof Map && value.get('kind') === kind) return value;
  throw failed(path, `it answers with something else than a ${kind}`);
}

function parsed(path: string, body: Uint8Array): JsonValue {
  try {
    return parseJson(body, { maxBytes: MAX_ANSWER_BYTES, maxDepth: 64 });
  } catch (error) {
    throw failed(path, messageOf(error), error);
  }
}

function failed(path: string, why: string, cause?: unknown): Error {
  const message = `the API server of the cluster cannot tell (${path}): ${why}`;
  return refused('ERR_NODE_ATTEST_API', message, cause);
}
