import path from 'node:path';
import protobuf from 'protobufjs';

const folder = path.join(import.meta.dirname, '..', 'proto');
const files = [
  'xds/type/matcher/v3/cel.proto',
  'envoy/config/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/network/rbac/v3/rbac.proto',
  'envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto',
  'envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs.proto',
  'envoy/extensions/matching/input_matchers/ip/v3/ip.proto',
  'envoy/extensions/matching/input_matchers/metadata/v3/metadata.proto',
];

const root = new protobuf.Root();
root.resolvePath = (_, target) =>
  target.startsWith('google/') ? target : path.join(folder, target);
root.loadSync(files, { keepCase: true }).resolveAll();

const ANY = '.google.protobuf.Any';
const UINT32 = '.google.protobuf.UInt32Value';

/** The proto3 JSON of a message of RBAC, read by protobufjs and messages of our own. */
export function decodeRbac(typeUrl: string, bytes: Uint8Array): object {
  const type = root.lookupType(typeUrl.replace('type.googleapis.com/', ''));
  return { '@type': typeUrl, ...jsonOf(type, type.decode(bytes)) };
}

function jsonOf(type: protobuf.Type, message: object): object {
  const sent = type.fieldsArray
    .map((field) => field.resolve())
    .filter(({ name, resolvedType }) => Object.hasOwn(message, name) || isEnum(resolvedType))
    .map((field) => [field.name, valueJson(field, Reflect.get(message, field.name))] as const);
  return Object.fromEntries(sent);
}

function valueJson(field: protobuf.Field, value: unknown): unknown {
  if (field.repeated && Array.isArray(value)) return value.map((one) => singleJson(field, one));
  if (!field.map || typeof value !== 'object' || value === null) return singleJson(field, value);
  const entries = Object.entries(value).map(([key, one]) => [key, singleJson(field, one)]);
  return Object.fromEntries(entries);
}

function singleJson({ resolvedType: type }: protobuf.Field, value: unknown): unknown {
  if (type === null || typeof value !== 'object' || value === null)
    return isEnum(type) ? type.valuesById[Number(value)] : value;
  if (isEnum(type)) throw new TypeError(`${type.fullName} is no message`);
  if (type.fullName === UINT32) return Reflect.get(value, 'value');
  if (type.fullName === ANY)
    return decodeRbac(String(Reflect.get(value, 'type_url')), Reflect.get(value, 'value'));
  return jsonOf(type, value);
}

function isEnum(type: protobuf.Type | protobuf.Enum | null): type is protobuf.Enum {
  return type instanceof protobuf.Enum;
}
