import { writeField, writeNumber } from './proto-writer.ts';

/** What a proxy says of a request. */
export interface WrittenCheck {
  readonly source: {
    readonly ip: string;
    readonly principal: string;
    /** PEM; undefined: none was sent along. */
    readonly certificate?: string | undefined;
  };
  /** The SPIFFE ID of the service that is called. */
  readonly destination: string;
  readonly method: string;
  /** With its query. */
  readonly target: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Headers go line by line, as bytes (`encode_raw_headers`); false: as a map of texts. */
  readonly hasRawHeaders: boolean;
  /** Claims of a token, all texts, in the metadata of Envoy's token filter. */
  readonly claims?: Readonly<Record<string, string>> | undefined;
}

const PORT = 49_152;

/** Encodes a CheckRequest (envoy.service.auth.v3) as Envoy does, to try ourselves with. */
export function writeCheckRequest(check: WrittenCheck): Buffer {
  const { source, destination, claims } = check;
  const parts = [
    writeField(1, [
      ...peer(source.ip, source.principal),
      ...(source.certificate === undefined
        ? []
        : [writeField(5, encodeURIComponent(source.certificate))]),
    ]),
    writeField(2, peer('127.0.0.1', destination)),
    writeField(4, [writeField(2, http(check))]),
    ...(claims === undefined ? [] : [writeField(11, [metadata(claims)])]),
  ];
  return writeField(1, parts);
}

function peer(ip: string, principal: string): readonly Buffer[] {
  const address = writeField(1, [writeField(1, [writeField(2, ip), writeNumber(3, PORT)])]);
  return [address, writeField(4, principal)];
}

function http(check: WrittenCheck): readonly Buffer[] {
  const { method, target, host, hasRawHeaders } = check;
  const all = { ':authority': host, ':method': method, ':path': target, ...check.headers };
  const value = hasRawHeaders ? 3 : 2;
  const lines = Object.entries(all).map(([name, text]) => [
    writeField(1, name),
    writeField(value, text),
  ]);
  return [
    writeField(2, method),
    ...(hasRawHeaders ? [] : lines.map((line) => writeField(3, line))),
    writeField(4, target),
    writeField(5, host),
    writeField(6, 'https'),
    writeField(10, 'HTTP/2'),
    ...(hasRawHeaders
      ? [
          writeField(
            13,
            lines.map((line) => writeField(1, line)),
          ),
        ]
      : []),
  ];
}

function metadata(claims: Readonly<Record<string, string>>): Buffer {
  const fields = Object.entries(claims).map(([name, text]) => entry(name, [writeField(3, text)]));
  const payload = entry('jwt_payload', [writeField(5, fields)]);
  return entry('envoy.filters.http.jwt_authn', [payload]);
}

/** Of a map, here always field 1. */
function entry(name: string, value: readonly Buffer[]): Buffer {
  return writeField(1, [writeField(1, name), writeField(2, value)]);
}
