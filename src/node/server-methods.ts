import type { MethodDefinition } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { loadService, strictBytes } from '../wire/index.ts';

const services = {
  Agent: ['spire/api/server/agent/v1/agent.proto', 'spire.api.server.agent.v1.Agent'],
  Bundle: ['spire/api/server/bundle/v1/bundle.proto', 'spire.api.server.bundle.v1.Bundle'],
  Entry: ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'],
  Explain: ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.Explain'],
  Sync: ['trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.Sync'],
  SVID: ['spire/api/server/svid/v1/svid.proto', 'spire.api.server.svid.v1.SVID'],
} as const;

/** A method of the server API, such as `Agent.RenewAgent`. */
export type ServerMethod = `${keyof typeof services}.${string}`;

/** A method as grpc-js calls it. Messages are plain objects, every field of which may be missing. */
export interface CallableMethod<Response> {
  readonly path: string;
  readonly serialize: (request: object) => Buffer;
  readonly deserialize: (bytes: Uint8Array) => Response;
}

/** @throws TrustplaneError ERR_INTERNAL when there is none of this name */
export function serverMethod<Response>(name: ServerMethod): CallableMethod<Response> {
  const [service = '', method = ''] = name.split('.');
  const [file = '', qualified = ''] =
    Object.entries(services).find(([short]) => short === service)?.[1] ?? [];
  const definition: MethodDefinition<object, Response> | undefined = loadService(file, qualified)[
    method
  ];
  if (definition === undefined) throw new TrustplaneError('ERR_INTERNAL', `no method ${name}`);
  return {
    path: definition.path,
    serialize: definition.requestSerialize,
    deserialize: (bytes) =>
      Reflect.apply(definition.responseDeserialize, undefined, [strictBytes(bytes)]),
  };
}
