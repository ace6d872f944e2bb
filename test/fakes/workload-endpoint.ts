import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientReadableStream, Metadata, status } from '@grpc/grpc-js';
import { silentLog } from '../../src/ops/log.ts';
import { createMetrics } from '../../src/ops/metrics.ts';
import { systemClock } from '../../src/ops/system-clock.ts';
import type { WorkloadSource } from '../../src/spiffe/index.ts';
import { dialUnix, loadService, type PeerProcess, serveUnix } from '../../src/wire/index.ts';
import { createWorkloadApi, type WorkloadApiOptions } from '../../src/workload/index.ts';
import { FakeTokenSource } from './fake-token-source.ts';

/** A Workload API on a real socket. */
export interface WorkloadEndpoint {
  readonly path: string;
  readonly client: Client;
  /** The value of a metric, written with its labels. */
  metric(name: string): Promise<number>;
  close(): Promise<void>;
}

export async function serveWorkloadApi(
  source: WorkloadSource<PeerProcess>,
  options: Partial<Omit<WorkloadApiOptions, 'source' | 'log' | 'metrics'>> = {},
): Promise<WorkloadEndpoint> {
  const directory = mkdtempSync(join(tmpdir(), 'tp-wlapi-'));
  const path = join(directory, 'agent.sock');
  const metrics = createMetrics();
  const shared = { log: silentLog, metrics };
  const defaults = { tokens: new FakeTokenSource<PeerProcess>(), clock: systemClock };
  const service = createWorkloadApi({ source, ...shared, ...defaults, ...options });
  const server = await serveUnix({ path, mode: 0o600, services: [service], ...shared });
  const dial = dialUnix(path);
  const client = new Client(dial.target, dial.credentials, dial.options);
  return {
    path,
    client,
    async metric(name) {
      const line = (await metrics.render()).split('\n').find((line) => line.startsWith(`${name} `));
      return Number(line?.split(' ')[1]);
    },
    async close() {
      client.close();
      await server.close(0);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface FetchedX509Svid {
  readonly spiffe_id: string;
  readonly x509_svid: Buffer;
  readonly x509_svid_key: Buffer;
  readonly bundle: Buffer;
  readonly hint?: string;
}

/** Any response of the X.509 profile. */
export interface FetchedX509 {
  readonly svids?: readonly FetchedX509Svid[];
  readonly crl?: readonly Buffer[];
  readonly federated_bundles?: Readonly<Record<string, Buffer>>;
  readonly bundles?: Readonly<Record<string, Buffer>>;
}

/** How a call ended. */
export interface Outcome {
  /** One of `status`. */
  readonly code: number;
  readonly details: string;
}

export interface Fetching {
  readonly stream: ClientReadableStream<FetchedX509>;
  /** The next message, or how the stream ended. */
  next(): Promise<FetchedX509 | Outcome>;
}

/** Opens a stream of a method with a request's bytes; `headers` instead of the security header. */
export function fetchStream(
  client: Client,
  method: string,
  headers: readonly (readonly [string, string])[] = [['workload.spiffe.io', 'true']],
  request: Buffer = Buffer.alloc(0),
): Fetching {
  const definition = loadService('workload.proto', 'SpiffeWorkloadAPI')[method];
  if (definition === undefined) throw new Error(`no method ${method}`);
  const stream: ClientReadableStream<FetchedX509> = client.makeServerStreamRequest(
    definition.path,
    () => request,
    (bytes): FetchedX509 => definition.responseDeserialize(bytes),
    {},
    metadataOf(headers),
  );
  stream.on('error', () => {});
  const messages = stream[Symbol.asyncIterator]();
  return {
    stream,
    async next() {
      try {
        const { value, done } = await messages.next();
        return done === true ? { code: status.OK, details: '' } : value;
      } catch (error) {
        return outcomeOf(error);
      }
    },
  };
}

/** Calls a unary method with a message or with bytes; how it ended, and what was answered. */
export function callUnary(
  client: Client,
  method: string,
  request: object,
  headers: readonly (readonly [string, string])[] = [['workload.spiffe.io', 'true']],
  signal?: AbortSignal,
): Promise<Outcome & { readonly response?: Readonly<Record<string, unknown>> }> {
  const definition = loadService('workload.proto', 'SpiffeWorkloadAPI')[method];
  if (definition === undefined) throw new Error(`no method ${method}`);
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest(
      definition.path,
      request instanceof Buffer ? () => request : definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadataOf(headers),
      (error, response) =>
        resolve(error === null ? { code: status.OK, details: '', response } : outcomeOf(error)),
    );
    signal?.addEventListener('abort', () => call.cancel());
  });
}

function metadataOf(headers: readonly (readonly [string, string])[]): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.add(name, value);
  return metadata;
}

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof Error && 'code' in error && 'details' in error)) throw error;
  return { code: Number(error.code), details: String(error.details) };
}
