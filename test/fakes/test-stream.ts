import { type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { Type } from 'protobufjs';

/** One xDS stream as a client has it; responses are kept until asked for. */
export class TestStream<Response> {
  readonly call: ClientDuplexStream<Buffer, Response>;
  /** How the stream ended. */
  readonly ended: Promise<ServiceError | undefined>;
  readonly #requestType: Type;
  readonly #received: Response[] = [];
  #wake: (() => void) | undefined;
  #error: ServiceError | undefined;

  constructor(call: ClientDuplexStream<Buffer, Response>, requestType: Type) {
    this.call = call;
    this.#requestType = requestType;
    call.on('data', (response: Response) => {
      this.#received.push(response);
      this.#wake?.();
    });
    this.ended = new Promise((resolve) => {
      call.on('error', (error: ServiceError) => {
        resolve(error);
        this.#error = error;
        this.#wake?.();
      });
      call.on('status', ({ code }) => {
        if (code === status.OK) resolve(undefined);
      });
    });
  }

  /** Responses that came and were not asked for. */
  get pending(): number {
    return this.#received.length;
  }

  send(request: object): void {
    this.call.write(encodeRequest(this.#requestType, request));
  }

  sendBytes(bytes: Buffer): void {
    this.call.write(bytes);
  }

  /** The next response, as soon as there is one; throws when the stream fails first. */
  async next(): Promise<Response> {
    for (;;) {
      const response = this.#received.shift();
      if (response !== undefined) return response;
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export function encodeRequest(type: Type, request: object): Buffer {
  return Buffer.from(type.encode(type.fromObject(request)).finish());
}
