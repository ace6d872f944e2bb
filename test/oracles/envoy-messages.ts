import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import protobuf from 'protobufjs';

/** Envoy's own definitions, as grpc-js-xds carries them. */
export interface EnvoyMessages {
  readonly root: protobuf.Root;
  /** What a message says; enums by name, bytes as Buffers. */
  read(type: string, bytes: Uint8Array): ReturnType<protobuf.Type['toObject']>;
  write(type: string, value: object): Buffer;
}

/** Loads files such as `envoy/service/auth/v3/external_auth.proto`. */
export async function loadEnvoyMessages(files: readonly string[]): Promise<EnvoyMessages> {
  const require = createRequire(import.meta.url);
  const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const common = dirname(require.resolve('protobufjs/package.json'));
  const folders = new Map([
    ['envoy', 'envoy-api'],
    ['google', 'googleapis'],
    ['xds', 'xds'],
    ['udpa', 'xds'],
    ['validate', 'protoc-gen-validate'],
  ]);
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    target.startsWith('google/protobuf/')
      ? join(common, target)
      : join(deps, folders.get(target.split('/')[0] ?? '') ?? '', target);
  await root.load([...files], { keepCase: true });
  return {
    root,
    read: (name, bytes) => {
      const type = root.lookupType(name);
      return type.toObject(type.decode(bytes), { bytes: Buffer, enums: String, oneofs: true });
    },
    write: (name, value) => {
      const type = root.lookupType(name);
      return Buffer.from(type.encode(type.fromObject(value)).finish());
    },
  };
}

/** What each field of our messages is, and what it is of Envoy's: name, number, type, repeated, map. */
export function comparedFields(
  { root }: EnvoyMessages,
  types: readonly protobuf.Type[],
): readonly { readonly ours: readonly unknown[]; readonly theirs: readonly unknown[] }[] {
  const bare = (name: string | undefined) => name?.split('.').at(-1);
  return types.flatMap((type) => {
    const { fields } = root.lookupType(type.fullName.slice(1));
    return type.fieldsArray.map(({ name, id, type: kind, repeated, map }) => {
      const other = fields[name];
      return {
        ours: [name, id, bare(kind), repeated, map],
        theirs: [name, other?.id, bare(other?.type), other?.repeated, other?.map],
      };
    });
  });
}
