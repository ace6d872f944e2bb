import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import protobuf from 'protobufjs';
import type * as Descriptor from 'protobufjs/ext/descriptor/index.js';
import { resolveProto } from './protos.ts';

/** A .proto file as reflection tells of it. */
export interface DescribedFile {
  readonly name: string;
  /** A serialized google.protobuf.FileDescriptorProto. */
  readonly bytes: Uint8Array;
  readonly imports: readonly string[];
  /** Fully qualified names of its messages, enums, services and methods. */
  readonly symbols: readonly string[];
  /** Fully qualified names of its services. */
  readonly services: readonly string[];
}

/** FieldDescriptorProto.Type by the name in a .proto file. */
const SCALARS: Readonly<Record<string, number>> = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
};
const MESSAGE = 11;
const ENUM = 14;
const OPTIONAL = 1;
const REPEATED = 3;

/** What one file says, before names are resolved. */
interface ParsedFile {
  readonly package: string;
  readonly imports: readonly string[];
  readonly members: readonly protobuf.ReflectionObject[];
}

/** Describes `files` (relative to `proto/`) and all they import, by name. */
export function describeFiles(files: readonly string[]): ReadonlyMap<string, DescribedFile> {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => resolveProto(target);
  root.loadSync([...files], { keepCase: true }).resolveAll();
  const described = new Map<string, DescribedFile>();
  const add = (name: string): void => {
    if (described.has(name)) return;
    const file = describeFile(name, parseFile(name), root);
    described.set(name, file);
    for (const imported of file.imports) add(imported);
  };
  for (const name of files) add(name);
  return described;
}

function parseFile(name: string): ParsedFile {
  const bundled = protobuf.common.get(name);
  if (bundled !== null) {
    const root = protobuf.Root.fromJSON(bundled);
    return { package: 'google.protobuf', imports: [], members: membersOf(root, 'google.protobuf') };
  }
  const parsed = protobuf.parse(readFileSync(resolveProto(name), 'utf8'), { keepCase: true });
  const packageName = parsed.package ?? '';
  return {
    package: packageName,
    imports: parsed.imports ?? [],
    members: membersOf(parsed.root, packageName),
  };
}

function membersOf(root: protobuf.Root, packageName: string): protobuf.ReflectionObject[] {
  const namespace = packageName === '' ? root : root.lookup(packageName);
  return namespace instanceof protobuf.Namespace ? [...namespace.nestedArray] : [];
}

function describeFile(name: string, parsed: ParsedFile, root: protobuf.Root): DescribedFile {
  const members = parsed.members.map((member) => root.lookup(member.fullName));
  const types = members.filter((member) => member instanceof protobuf.Type);
  const enums = members.filter((member) => member instanceof protobuf.Enum);
  const services = members.filter((member) => member instanceof protobuf.Service);
  const { FileDescriptorProto } = descriptors();
  const message = FileDescriptorProto.fromObject({
    name,
    package: parsed.package,
    dependency: parsed.imports,
    messageType: types.map(describeType),
    enumType: enums.map(describeEnum),
    service: services.map(describeService),
    syntax: 'proto3',
  });
  return {
    name,
    bytes: FileDescriptorProto.encode(message).finish(),
    imports: parsed.imports,
    symbols: [...types, ...enums, ...services].flatMap(symbolsOf),
    services: services.map(qualifiedName),
  };
}

function symbolsOf(object: protobuf.ReflectionObject): string[] {
  const inner =
    object instanceof protobuf.Service
      ? object.methodsArray.map(qualifiedName)
      : object instanceof protobuf.Type
        ? object.nestedArray.flatMap(symbolsOf)
        : [];
  return [qualifiedName(object), ...inner];
}

function describeType(type: protobuf.Type): object {
  const maps = type.fieldsArray.filter((field) => field instanceof protobuf.MapField);
  return {
    name: type.name,
    field: type.fieldsArray.map((field) => describeField(type, field)),
    oneofDecl: type.oneofsArray.map(({ name }) => ({ name })),
    nestedType: [
      ...type.nestedArray.filter((nested) => nested instanceof protobuf.Type).map(describeType),
      ...maps.map(describeMapEntry),
    ],
    enumType: type.nestedArray
      .filter((nested) => nested instanceof protobuf.Enum)
      .map(describeEnum),
  };
}

function describeField(type: protobuf.Type, field: protobuf.Field): object {
  const shared = { name: field.name, number: field.id, jsonName: camelCase(field.name) };
  if (field instanceof protobuf.MapField) {
    const typeName = `${type.fullName}.${mapEntryName(field)}`;
    return { ...shared, label: REPEATED, type: MESSAGE, typeName };
  }
  return {
    ...shared,
    ...typeOf(field),
    label: field.repeated ? REPEATED : OPTIONAL,
    ...(field.partOf && { oneofIndex: type.oneofsArray.indexOf(field.partOf) }),
    ...(field.options?.['proto3_optional'] === true && { proto3Optional: true }),
  };
}

function describeMapEntry(field: protobuf.MapField): object {
  const key = { name: 'key', number: 1, label: OPTIONAL, type: SCALARS[field.keyType] };
  const value = { name: 'value', number: 2, label: OPTIONAL, ...typeOf(field) };
  return { name: mapEntryName(field), field: [key, value], options: { mapEntry: true } };
}

function typeOf(field: Pick<protobuf.Field, 'type' | 'resolvedType'>): {
  type: number | undefined;
  typeName?: string;
} {
  const resolved = field.resolvedType;
  if (resolved === null) return { type: SCALARS[field.type] };
  const type = resolved instanceof protobuf.Enum ? ENUM : MESSAGE;
  return { type, typeName: resolved.fullName };
}

function describeEnum(type: protobuf.Enum): object {
  const value = Object.entries(type.values).map(([name, number]) => ({ name, number }));
  return { name: type.name, value };
}

function describeService(service: protobuf.Service): object {
  const method = service.methodsArray.map((each) => ({
    name: each.name,
    inputType: each.resolvedRequestType?.fullName,
    outputType: each.resolvedResponseType?.fullName,
    clientStreaming: each.requestStream === true,
    serverStreaming: each.responseStream === true,
  }));
  return { name: service.name, method };
}

/** protoc's rule for the hidden message of `map<k, v> some_name`: SomeNameEntry. */
function mapEntryName(field: protobuf.MapField): string {
  const camel = camelCase(field.name);
  return `${camel.charAt(0).toUpperCase()}${camel.slice(1)}Entry`;
}

function camelCase(name: string): string {
  return name.replace(/_+([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

/** Without the leading dot by which protobufjs begins. */
function qualifiedName(object: protobuf.ReflectionObject): string {
  return object.fullName.slice(1);
}

/** Loaded at the first use: servers are rarely asked to describe themselves. */
function descriptors(): typeof Descriptor {
  return createRequire(import.meta.url)('protobufjs/ext/descriptor');
}
