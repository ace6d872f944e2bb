import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { ProtoCursor } from '../../src/check/proto-cursor.ts';
import { writeField } from '../../src/check/proto-writer.ts';

const TYPED_EXTENSION_CONFIG = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
const PATH = '/envoy.service.extension.v3.ExtensionConfigDiscoveryService/StreamExtensionConfigs';

type Stream = ServerDuplexStream<Buffer, Buffer>;

/** What an Envoy said of a version. */
interface Waiter {
  readonly version: string;
  readonly settle: (refusal: string | undefined) => void;
}

/** The least server of ECDS (state of the world) that a test can do with: what is put is what there is. */
export class EcdsServer implements AsyncDisposable {
  readonly #server: Server = new Server();
  readonly #values = new Map<string, { readonly version: string; readonly config: Uint8Array }>();
  readonly #streams = new Map<string, Stream>();
  readonly #waiters = new Map<string, Waiter>();
  #version = 0;

  /** @param socket path of a Unix socket */
  async listen(socket: string): Promise<void> {
    const pass = (bytes: Buffer): Buffer => bytes;
    const method = {
      path: PATH,
      requestStream: true,
      responseStream: true,
      requestSerialize: pass,
      requestDeserialize: pass,
      responseSerialize: pass,
      responseDeserialize: pass,
    };
    this.#server.addService({ stream: method }, { stream: (call: Stream) => this.#take(call) });
    const credentials = ServerCredentials.createInsecure();
    await new Promise<void>((resolve, reject) => {
      this.#server.bindAsync(`unix:${socket}`, credentials, (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  }

  /** `config`: a TypedExtensionConfig. Resolves once the Envoy that asks for the name has it in force. @throws what Envoy says of it */
  async put(name: string, config: Uint8Array): Promise<void> {
    const version = String(++this.#version);
    this.#values.set(name, { version, config });
    const refusal = await new Promise<string | undefined>((settle) => {
      this.#waiters.set(name, { version, settle });
      this.#send(name);
    });
    if (refusal !== undefined) throw new Error(`Envoy refuses ${name}: ${refusal}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }

  #take(call: Stream): void {
    call.on('data', (bytes: Buffer) => {
      const { version, name, nonce, refusal } = readRequest(bytes);
      if (nonce === '') {
        this.#streams.set(name, call);
        this.#send(name);
        return;
      }
      const waiter = this.#waiters.get(name);
      if (waiter === undefined || nonce !== waiter.version) return;
      if (refusal === undefined && version !== waiter.version) return;
      this.#waiters.delete(name);
      waiter.settle(refusal);
    });
    call.on('error', () => {});
    call.on('end', () => call.end());
  }

  /** The nonce is the version. */
  #send(name: string): void {
    const stream = this.#streams.get(name);
    const value = this.#values.get(name);
    if (stream === undefined || value === undefined) return;
    const resource = writeField(2, [
      writeField(1, TYPED_EXTENSION_CONFIG),
      writeField(2, [value.config]),
    ]);
    const { version } = value;
    stream.write(
      Buffer.concat([
        writeField(1, version),
        resource,
        writeField(4, TYPED_EXTENSION_CONFIG),
        writeField(5, version),
      ]),
    );
  }
}

/** Of a DiscoveryRequest. */
function readRequest(bytes: Buffer): {
  readonly version: string;
  readonly name: string;
  readonly nonce: string;
  readonly refusal: string | undefined;
} {
  const texts = new Map<number, string>();
  const cursor = new ProtoCursor(bytes);
  while (cursor.next())
    if (cursor.wireType === 2)
      texts.set(cursor.field, bytes.toString('utf8', cursor.from, cursor.to));
  return {
    version: texts.get(1) ?? '',
    name: texts.get(3) ?? '',
    nonce: texts.get(5) ?? '',
    refusal: texts.get(6),
  };
}
