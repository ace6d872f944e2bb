import { fileURLToPath } from 'node:url';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  type ServiceDefinition as LoadedService,
  loadSync,
  type Options,
  type PackageDefinition,
} from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import { TrustplaneError } from '../spiffe/index.ts';

/** A service and the handlers of its methods, by method name. */
export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

/** The folder of the .proto files: `proto/` at the package's root, seen from `src/` and `dist/` alike. */
const protoDirectory: string = fileURLToPath(new URL('../../proto/', import.meta.url));

/** Absent is not empty: a field that was not on the wire is undefined, save lists and maps. */
const loaderOptions: Options = {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: false,
  arrays: true,
  objects: true,
  oneofs: true,
  includeDirs: [protoDirectory],
};

const packages = new Map<string, PackageDefinition>();
const roots = new Map<string, protobuf.Root>();

/**
 * The definition of `service` (fully qualified) in `file` (relative to `proto/`). Messages are plain
 * objects with the names of the .proto file; 64-bit integers and enums are strings.
 * @throws TrustplaneError ERR_INTERNAL when the file or the service is not there
 */
export function loadService(file: string, service: string): ServiceDefinition {
  const definition = loadPackage(file)[service];
  if (definition === undefined || 'format' in definition) {
    throw new TrustplaneError('ERR_INTERNAL', `no service ${service} in proto/${file}`);
  }
  return definition;
}

/**
 * The same bytes in a form that protobufjs reads to the letter: of a Buffer it takes a string that
 * ends before its length says so for whole.
 */
export function strictBytes({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * The message type `name` (fully qualified) of `file` (relative to `proto/`), to encode what goes
 * into an Any once and to decode in tests.
 * @throws TrustplaneError ERR_INTERNAL when the file or the type is not there
 */
export function messageType(file: string, name: string): protobuf.Type {
  const found = loadRoot(file).lookup(name, protobuf.Type);
  if (found instanceof protobuf.Type) return found;
  throw new TrustplaneError('ERR_INTERNAL', `no message ${name} in proto/${file}`);
}

/** The parsed file with all it imports. */
function loadRoot(file: string): protobuf.Root {
  const cached = roots.get(file);
  if (cached !== undefined) return cached;
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => resolveProto(target);
  root.loadSync(file, { keepCase: true });
  root.resolveAll();
  roots.set(file, root);
  return root;
}

/** The path on disk of an imported file; Google's well-known types come with protobufjs. */
export function resolveProto(target: string): string {
  return target.startsWith(protoDirectory) ? target : `${protoDirectory}${target}`;
}

function loadPackage(file: string): PackageDefinition {
  const cached = packages.get(file);
  if (cached !== undefined) return cached;
  const loaded = Object.fromEntries(
    Object.entries(loadSync(file, loaderOptions)).map(([name, definition]) => [
      name,
      'format' in definition ? definition : withStrictRequests(definition),
    ]),
  );
  packages.set(file, loaded);
  return loaded;
}

function withStrictRequests(definition: LoadedService): LoadedService {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const requestDeserialize = (bytes: Buffer): object =>
        Reflect.apply(method.requestDeserialize, undefined, [strictBytes(bytes)]);
      return [name, { ...method, requestDeserialize }];
    }),
  );
}
