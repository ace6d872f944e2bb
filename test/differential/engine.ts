import { generateKeyPairSync } from 'node:crypto';
import { compilePlan, type Plan, policySchema } from '../../src/authz/index.ts';
import { AssertionSigner } from '../../src/check/assertion-signer.ts';
import { CallerReader, CheckHandler, type CheckRecord } from '../../src/check/index.ts';
import { writeField, writeNumber } from '../../src/check/proto-writer.ts';
import { encodePem } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { type Answer, readAnswer } from './answer.ts';
import { audience, type CertificateShapes } from './certificate-shapes.ts';
import type { PolicyDocument } from './policy-document.ts';
import { gateway } from './random-policies.ts';
import type { Asked } from './random-questions.ts';

/** What a handler did. */
export interface Judged {
  readonly decision: CheckRecord['decision'];
  readonly answer: Answer;
}

/** Which tokens, and whose word, are believed. */
export const callerOptions = {
  jwtSvid: { header: 'authorization', audiences: [audience] },
  xfcc: { trustedHops: 1, proxies: [gateway] },
} as const;

/** What is judged: the engine behind the handler of CheckRequests. */
export class Engine {
  readonly handler: CheckHandler;
  readonly #certificates: ReadonlyMap<string, string>;
  readonly #tokens: ReadonlyMap<string, string>;
  #plan: Plan | undefined;
  #record: CheckRecord | undefined;

  /** @param needsCertificate false: callers are who they say */
  constructor(shapes: CertificateShapes, now: number, needsCertificate: boolean = true) {
    const clock = new FakeClock(now);
    this.#certificates = new Map(
      [...shapes.of].map(([name, { der }]) => [
        name,
        encodeURIComponent(encodePem('CERTIFICATE', der)),
      ]),
    );
    this.#tokens = shapes.tokens;
    this.handler = new CheckHandler({
      plan: () => this.#plan,
      callers: new CallerReader({
        trust: () => shapes.trust.current(),
        findRevocation: (subject) => shapes.revocations.find(subject),
        needsCertificate,
        ...callerOptions,
        clock,
      }),
      assertions: createSigner(clock),
      claims: { namespace: 'envoy.filters.http.jwt_authn', key: 'jwt_payload' },
      onDecision: (record) => {
        this.#record = record;
      },
      idPrefix: 'differential',
      clock,
    });
  }

  /** @throws what the checker says of a policy that makes no sense */
  load(documents: readonly PolicyDocument[]): void {
    const policies = documents.map((document) =>
      policySchema.parse({ apiVersion: 'trustplane/v1', kind: 'Policy', ...document }),
    );
    this.#plan = compilePlan(policies, 'digest');
  }

  ask(asked: Asked): Judged {
    const answer = readAnswer(this.handler.check(this.#encode(asked)));
    if (this.#record === undefined) throw new Error('there was no decision');
    return { decision: this.#record.decision, answer };
  }

  #encode(asked: Asked): Buffer {
    const { as, service, http, sourceIp, destinationIp, port, claims, shows } = asked;
    const token = shows === undefined ? undefined : this.#tokens.get(shows);
    const certificate = this.#certificates.get(as);
    const peer = (ip: string, number: number, more: readonly Buffer[]) => [
      writeField(1, [writeField(1, [writeField(2, ip), writeNumber(3, number)])]),
      ...more,
    ];
    const source = [
      ...(as === 'nobody' ? [] : [writeField(4, as)]),
      ...(certificate === undefined ? [] : [writeField(5, certificate)]),
    ];
    const attributes = [
      writeField(1, peer(sourceIp, 40_000, source)),
      writeField(
        2,
        peer(destinationIp, port, service.id === undefined ? [] : [writeField(4, service.id)]),
      ),
      ...(http === undefined ? [] : [writeField(4, [writeField(2, encodeHttp(http, token))])]),
      ...extensionsOf(service, http),
      ...(claims === undefined ? [] : [writeField(11, metadata(claims))]),
    ];
    return writeField(1, attributes);
  }
}

function createSigner(clock: FakeClock): AssertionSigner {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = new AssertionSigner({
    issuer: 'differential',
    ttlSeconds: 60,
    clock,
    randomBytes: (count) => new Uint8Array(count),
  });
  signer.use({
    keyId: 'k',
    privateKey: new Uint8Array(privateKey.export({ type: 'pkcs8', format: 'der' })),
  });
  return signer;
}

function encodeHttp(http: NonNullable<Asked['http']>, token: string | undefined): Buffer[] {
  const { method, target, host, lines, body } = http;
  const header = ([name, value]: readonly [string, string]): Buffer =>
    writeField(1, [writeField(1, name), writeField(3, value)]);
  return [
    writeField(2, method),
    writeField(4, target),
    writeField(5, host),
    ...(body === undefined || body.came === 0 ? [] : [writeNumber(9, body.came)]),
    writeField(13, [
      ...lines.map(header),
      ...(token === undefined ? [] : [header(['authorization', `Bearer ${token}`])]),
    ]),
  ];
}

/** What the route says. */
function extensionsOf({ extension }: Asked['service'], http: Asked['http']): Buffer[] {
  const isAwaited = http?.body?.isAwaited === true;
  const said = [
    ...(extension === undefined ? [] : [['trustplane.policy', extension] as const]),
    ...(isAwaited ? [['trustplane.body', 'buffered'] as const] : []),
  ];
  return said.map(([key, value]) => writeField(10, entry(key, writeField(2, value))));
}

function metadata(claims: Readonly<Record<string, unknown>>): Buffer[] {
  const payload = struct({ jwt_payload: claims });
  return [writeField(1, entry('envoy.filters.http.jwt_authn', writeField(2, payload)))];
}

function entry(key: string, value: Buffer): Buffer[] {
  return [writeField(1, key), value];
}

function struct(fields: object): Buffer[] {
  return Object.entries(fields).map(([key, value]) =>
    writeField(1, entry(key, writeField(2, [valueOf(value)]))),
  );
}

/** A google.protobuf.Value. */
function valueOf(value: unknown): Buffer {
  if (typeof value === 'string') return writeField(3, value);
  if (typeof value === 'boolean') return writeNumber(4, value ? 1 : 0);
  if (typeof value === 'number') {
    const number = Buffer.alloc(9);
    number[0] = 0x11;
    number.writeDoubleLE(value, 1);
    return number;
  }
  if (Array.isArray(value))
    return writeField(
      6,
      value.map((one: unknown) => writeField(1, [valueOf(one)])),
    );
  if (typeof value === 'object' && value !== null) return writeField(5, struct(value));
  return writeNumber(1, 0);
}
