import { type JsonObject, type JsonValue, messageOf, parseJson } from '../../../spiffe/index.ts';
import type { AskHttp, HttpAnswer, HttpQuestion } from './ask-http.ts';
import { refused } from './refused.ts';

const MAX_SHOWN = 200;

/**
 * Asks a service of a cloud; anything but 200 is a failure, for the node to come back later.
 * @throws TrustplaneError ERR_NODE_ATTEST_CLOUD
 */
export async function askCloud(
  ask: AskHttp,
  url: string,
  question: HttpQuestion = {},
): Promise<Buffer> {
  const { status, body } = await answerOf(ask, url, question);
  if (status === 200) return body;
  throw failed(url, `it answers with status ${status}`);
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CLOUD when there is no answer at all */
export async function answerOf(
  ask: AskHttp,
  url: string,
  question: HttpQuestion,
): Promise<HttpAnswer> {
  try {
    return await ask(url, question);
  } catch (error) {
    throw failed(url, messageOf(error), error);
  }
}

/** As `askCloud`, for a JSON object. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
export async function askCloudJson(
  ask: AskHttp,
  url: string,
  question: HttpQuestion = {},
): Promise<JsonObject> {
  const body = await askCloud(ask, url, question);
  let value: JsonValue;
  try {
    value = parseJson(body);
  } catch (error) {
    throw failed(url, messageOf(error), error);
  }
  if (value instanceof Map) return value;
  throw failed(url, 'it answers with no JSON object');
}

/** Names the place without the query, which may hold what the node said. */
export function failed(url: string, why: string, cause?: unknown): Error {
  const place = url.replace(/\?.*$/su, '').slice(0, MAX_SHOWN);
  return refused('ERR_NODE_ATTEST_CLOUD', `${place}: ${why}`, cause);
}
