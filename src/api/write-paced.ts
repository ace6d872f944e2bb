import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';

/** Writes one message of a stream, and waits for a slow reader. */
export async function writePaced<Response>(
  call: ServerDuplexStream<unknown, Response> | ServerWritableStream<unknown, Response>,
  response: Response,
): Promise<void> {
  if (call.write(response)) return;
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      call.off('drain', settle).off('cancelled', settle);
      resolve();
    };
    call.on('drain', settle).on('cancelled', settle);
    if (call.cancelled) settle();
  });
}
