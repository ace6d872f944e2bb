import { type ChannelOptions, Client } from '@grpc/grpc-js';
import type { Type } from 'protobufjs';
import { dialUnix } from '../../src/wire/index.ts';
import { encodeRequest, TestStream } from './test-stream.ts';

/** Calls discovery services on a Unix socket, with a connection of its own. */
export class DiscoveryClient {
  readonly #client: Client;

  constructor(path: string, more: ChannelOptions = {}) {
    const { target, credentials, options } = dialUnix(path);
    this.#client = new Client(target, credentials, {
      ...options,
      'grpc.use_local_subchannel_pool': 1,
      ...more,
    });
  }

  open<Response>(
    method: string,
    requestType: Type,
    read: (bytes: Buffer) => Response,
  ): TestStream<Response> {
    return new TestStream(this.#client.makeBidiStreamRequest(method, same, read), requestType);
  }

  fetch<Response>(
    method: string,
    requestType: Type,
    request: object,
    read: (bytes: Buffer) => Response,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method,
        same,
        read,
        encodeRequest(requestType, request),
        (error, response) => (response === undefined ? reject(error) : resolve(response)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
