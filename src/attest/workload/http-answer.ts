import type { ClientRequest, IncomingMessage } from 'node:http';
import { readBytes } from '../../ops/index.ts';
import { messageOf, TrustplaneError } from '../../spiffe/index.ts';

/** What a program on this host answered. */
export interface HttpAnswer {
  readonly status: number;
  /** Empty unless the status is 200. */
  readonly body: Buffer;
}

/**
 * Sends a request without a body and reads the answer, up to a bound: of a longer one no more is
 * read. Its connection does not keep this process alive. `subject`: who is asked, for people.
 * @throws TrustplaneError ERR_ATTEST_UNREACHABLE, ERR_ATTEST_ANSWER
 */
export async function readAnswer(
  asked: ClientRequest,
  subject: string,
  maxBytes: number,
): Promise<HttpAnswer> {
  const response = await responseTo(asked, subject);
  const status = response.statusCode ?? 0;
  if (status !== 200) {
    response.destroy();
    return { status, body: Buffer.of() };
  }
  try {
    return { status, body: await readBytes(response, maxBytes) };
  } catch (error) {
    throw new TrustplaneError('ERR_ATTEST_ANSWER', `${subject}: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    asked.destroy();
  }
}

async function responseTo(asked: ClientRequest, subject: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  asked.on('socket', (socket) => socket.unref());
  asked.on('error', reject);
  asked.once('upgrade', (_response, socket) => socket.destroy(new Error('it upgrades')));
  asked.once('response', resolve);
  asked.end();
  try {
    return await promise;
  } catch (error) {
    throw new TrustplaneError(
      isMalformed(error) ? 'ERR_ATTEST_ANSWER' : 'ERR_ATTEST_UNREACHABLE',
      `${subject} cannot be asked: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/** What came is no HTTP. */
function isMalformed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('HPE_');
}
