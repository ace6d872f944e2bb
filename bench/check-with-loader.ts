import { createWriteStream } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { sendUnaryData } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type Decision, decide, type Plan } from '../src/authz/index.ts';
import { CallerReader, createDecisionMetrics } from '../src/check/index.ts';
import type { FactsView } from '../src/facts/index.ts';
import { systemClock } from '../src/ops/index.ts';
import { serveUnix, type UnixServerOptions } from '../src/wire/index.ts';

interface Peer {
  readonly principal?: string;
  readonly certificate?: string;
  readonly address?: { readonly socket_address?: { readonly address: string } };
}

/** What proto-loader makes of a CheckRequest, as far as it is looked at. */
interface LoadedRequest {
  readonly attributes: {
    readonly source: Peer;
    readonly destination: Peer;
    readonly request: {
      readonly http: {
        readonly method: string;
        readonly path: string;
        readonly host: string;
        readonly header_map: {
          readonly headers: readonly { readonly key: string; readonly raw_value: Buffer }[];
        };
      };
    };
  };
}

/** How one would do it: grpc-js, proto-loader with Envoy's own definitions, the same engine and metrics, a line for each decision. */
export async function serveWithLoader(
  common: UnixServerOptions,
  plan: Plan,
  facts: FactsView,
): Promise<void> {
  const callers = new CallerReader({
    trust: () => facts.trust(),
    findRevocation: (subject) => facts.findRevocation({ agentId: undefined, ...subject }),
    needsCertificate: true,
    clock: systemClock,
  });
  const count = createDecisionMetrics(common.metrics);
  const lines = createWriteStream(`${common.path}.jsonl`);
  let id = 0;
  const check = (
    call: { readonly request: LoadedRequest },
    respond: sendUnaryData<object>,
  ): void => {
    const from = performance.now();
    const { source, destination, request } = call.request.attributes;
    const { http } = request;
    const decision = decide(plan, {
      service: { spiffeId: destination.principal },
      ...callers.callersOf({
        source: peerOf(source),
        destination: peerOf(destination),
        http: undefined,
        contextExtensions: new Map(),
        metadata: new Map(),
      }),
      http: {
        method: http.method,
        target: http.path,
        host: http.host,
        headers: (name) =>
          http.header_map.headers.flatMap(({ key, raw_value }) =>
            key === name ? [String(raw_value)] : [],
          ),
      },
      sourceIp: source.address?.socket_address?.address,
      now: Date.now(),
    });
    const at = Date.now();
    const latencyMicros = (performance.now() - from) * 1_000;
    const record = { id: `loader-${++id}`, decision, at, latencyMicros };
    count({ ...record, request: undefined, caller: undefined });
    const { method, path, host } = http;
    const headers = http.header_map.headers.map(({ key }) => key);
    const caller = source.principal;
    lines.write(`${JSON.stringify({ ...record, caller, method, path, host, headers })}\n`);
    respond(null, answerOf(decision));
  };
  const definition = loadDefinition();
  await serveUnix({ ...common, services: [{ definition, implementation: { Check: check } }] });
}

function peerOf({ principal, certificate, address }: Peer) {
  const ip = address?.socket_address?.address;
  return { ip, port: undefined, principal, certificate };
}

function answerOf({ isAllowed, headers, removedHeaders, reason, ruleId = '' }: Decision): object {
  const dynamic_metadata = {
    fields: { reason: { stringValue: reason }, rule: { stringValue: ruleId } },
  };
  if (!isAllowed) {
    const denied_response = { status: { code: 403 }, body: '{"title":"Forbidden","status":403}' };
    return { status: { code: 7 }, denied_response, dynamic_metadata };
  }
  const changed = [...headers].map(([key, value]) => ({
    header: { key, value },
    append_action: 2,
  }));
  const ok_response = { headers: changed, headers_to_remove: removedHeaders };
  return { status: { code: 0 }, ok_response, dynamic_metadata };
}

function loadDefinition() {
  const require = createRequire(import.meta.url);
  const deps = join(dirname(require.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
  const folders = ['envoy-api', 'googleapis', 'xds', 'protoc-gen-validate'];
  const loaded = loadSync('envoy/service/auth/v3/external_auth.proto', {
    includeDirs: folders.map((folder) => join(deps, folder)),
    keepCase: true,
  });
  const service = loaded['envoy.service.auth.v3.Authorization'];
  if (service === undefined || 'format' in service) throw new Error('there is no such service');
  return service;
}
