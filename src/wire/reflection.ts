import { type ServerDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import type protobuf from 'protobufjs';
import { type DescribedFile, describeFiles } from './file-descriptors.ts';
import { type GrpcService, messageType, strictBytes } from './protos.ts';

const PROTO = 'grpc/reflection/v1/reflection.proto';

/** The request as far as it is answered; exactly one field beside `host` is there. */
interface ReflectionRequest {
  readonly host?: string;
  readonly file_by_filename?: string;
  readonly file_containing_symbol?: string;
  readonly list_services?: string;
}

type Call = ServerDuplexStream<ReflectionRequest, object>;

/**
 * gRPC server reflection, v1 and v1alpha, of the services in `files` (relative to `proto/`).
 * Nothing is read or built before somebody asks. There are no extensions (proto3), so questions
 * about them are answered NOT_FOUND.
 */
export function createReflection(files: readonly string[]): readonly GrpcService[] {
  let index: ReflectionIndex | undefined;
  const answer = (request: ReflectionRequest): object =>
    (index ??= new ReflectionIndex([...files, PROTO])).answer(request);
  const implementation = { ServerReflectionInfo: (call: Call) => serve(call, answer) };
  return ['v1', 'v1alpha'].map((version) => ({
    definition: defineService(version),
    implementation,
  }));
}

/** Answers in order, and reads no further while the peer does not read. */
function serve(call: Call, answer: (request: ReflectionRequest) => object): void {
  call.on('data', (request: ReflectionRequest) => {
    if (call.write(answer(request))) return;
    call.pause();
    call.once('drain', () => call.resume());
  });
  call.on('end', () => call.end());
}

class ReflectionIndex {
  readonly #files: ReadonlyMap<string, DescribedFile>;
  readonly #bySymbol = new Map<string, DescribedFile>();
  readonly #services: readonly string[];

  constructor(names: readonly string[]) {
    this.#files = describeFiles(names);
    for (const file of this.#files.values()) {
      for (const symbol of file.symbols) this.#bySymbol.set(symbol, file);
    }
    this.#services = names.flatMap((name) => this.#files.get(name)?.services ?? []);
  }

  answer(request: ReflectionRequest): object {
    return { valid_host: request.host ?? '', original_request: request, ...this.#find(request) };
  }

  #find(request: ReflectionRequest): object {
    if (request.list_services !== undefined) {
      return { list_services_response: { service: this.#services.map((name) => ({ name })) } };
    }
    if (request.file_by_filename !== undefined) {
      return this.#describe(this.#files.get(request.file_by_filename));
    }
    if (request.file_containing_symbol !== undefined) {
      return this.#describe(this.#bySymbol.get(request.file_containing_symbol));
    }
    return notFound;
  }

  #describe(file: DescribedFile | undefined): object {
    if (file === undefined) return notFound;
    const files = new Set([file]);
    for (const each of files) {
      for (const name of each.imports) {
        const imported = this.#files.get(name);
        if (imported !== undefined) files.add(imported);
      }
    }
    const bytes = Array.from(files, (each) => each.bytes);
    return { file_descriptor_response: { file_descriptor_proto: bytes } };
  }
}

const notFound = {
  error_response: { error_code: status.NOT_FOUND, error_message: 'nothing of that name here' },
};

function defineService(version: string): ServiceDefinition {
  const request = createCoder('ServerReflectionRequest');
  const response = createCoder('ServerReflectionResponse');
  return {
    ServerReflectionInfo: {
      path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      originalName: 'ServerReflectionInfo',
      requestStream: true,
      responseStream: true,
      requestSerialize: request.serialize,
      requestDeserialize: request.deserialize,
      responseSerialize: response.serialize,
      responseDeserialize: response.deserialize,
    },
  };
}

interface Coder {
  readonly serialize: (value: object) => Buffer;
  readonly deserialize: (bytes: Buffer) => object;
}

function createCoder(name: string): Coder {
  const type = (): protobuf.Type => messageType(PROTO, `grpc.reflection.v1.${name}`);
  return {
    serialize: (value) => Buffer.from(type().encode(type().fromObject(value)).finish()),
    deserialize: (bytes) => type().toObject(type().decode(strictBytes(bytes))),
  };
}
