import type {
  ServerDuplexStream,
  ServerUnaryCall,
  ServiceDefinition,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { GrpcService } from '../../src/wire/index.ts';

const identity = (bytes: Buffer): Buffer => bytes;

function method(path: string, stream: boolean): ServiceDefinition[string] {
  return {
    path,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

export const echoMethods = {
  unary: method('/test.Echo/Unary', false),
  stream: method('/test.Echo/Stream', true),
} as const;

type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type EchoStream = ServerDuplexStream<Buffer, Buffer>;

function sendBack(call: EchoStream): void {
  call.on('data', (bytes: Buffer) => call.write(bytes));
  call.on('end', () => call.end());
}

/** A service of plain bytes, whose handlers a test chooses; by default they send back what they get. */
export function echoService(
  handlers: {
    unary?: (call: UnaryCall, respond: sendUnaryData<Buffer>) => unknown;
    stream?: (call: EchoStream) => unknown;
  } = {},
): GrpcService {
  return {
    definition: { Unary: echoMethods.unary, Stream: echoMethods.stream },
    implementation: {
      Unary:
        handlers.unary ??
        ((call: UnaryCall, respond: sendUnaryData<Buffer>) => respond(null, call.request)),
      Stream: handlers.stream ?? sendBack,
    },
  };
}
