import type { Socket } from 'node:net';
import { parseAnswer, type RawAnswer } from '../differential/raw-client.ts';

const TIMEOUT_MS = 20_000;

/** Writes bytes as they are and reads one answer; then the connection is cut. Rejects when none comes. */
export async function exchange(socket: Socket, bytes: string | Buffer): Promise<RawAnswer> {
  return await new Promise((resolve, reject) => {
    let text = '';
    const fail = (cause?: unknown): void => {
      socket.destroy();
      reject(new Error(`no answer, but ${JSON.stringify(text)}`, { cause }));
    };
    socket.on('error', fail).on('close', fail).setTimeout(TIMEOUT_MS, fail);
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      const answer = parseAnswer(text);
      if (answer === undefined) return;
      resolve(answer);
      socket.destroy();
    });
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  });
}
