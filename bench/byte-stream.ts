import { Client, Metadata } from '@grpc/grpc-js';
import { dialUnix, loadService } from '../src/wire/index.ts';

interface StreamRequest {
  readonly file: string;
  readonly service: string;
  readonly method: string;
  readonly request: object;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** An open call of which the messages are looked at as bytes; responses of SDS are acknowledged. */
export interface ByteStream {
  /** Resolves with the arrival (performance.now) of the first message from now on that passes the test. */
  next(test: (bytes: Buffer) => boolean): Promise<number>;
  close(): void;
}

export function openByteStream(socket: string, options: StreamRequest): ByteStream {
  const dial = dialUnix(socket);
  const limits = { 'grpc.max_receive_message_length': -1 };
  const client = new Client(dial.target, dial.credentials, { ...dial.options, ...limits });
  const method = loadService(options.file, options.service)[options.method];
  if (method === undefined) throw new Error(`there is no ${options.method}`);
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(options.metadata ?? {})) metadata.set(key, value);
  const bytes = (message: Buffer): Buffer => message;
  const call = client.makeBidiStreamRequest(method.path, method.requestSerialize, bytes, metadata);
  let waiting:
    | { test: (message: Buffer) => boolean; found: PromiseWithResolvers<number> }
    | undefined;
  let nonce = 0;
  call.on('data', (message: Buffer) => {
    const now = performance.now();
    // The nonces of one stream count from 1.
    if (method.requestStream) call.write({ ...options.request, response_nonce: String(++nonce) });
    if (waiting?.test(message)) waiting.found.resolve(now);
  });
  let failure: Error | undefined;
  call.on('error', (error) => {
    failure = error;
    waiting?.found.reject(error);
  });
  call.write(options.request);
  if (!method.requestStream) call.end();
  return {
    next(test) {
      const found = Promise.withResolvers<number>();
      waiting = { test, found };
      if (failure !== undefined) found.reject(failure);
      return found.promise;
    },
    close() {
      call.cancel();
      client.close();
    },
  };
}
