import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { buildAuthz } from '../../src/app/authz-config.ts';
import type { AuthzFile } from '../../src/app/authz-schema.ts';
import { CHECK } from '../../src/app/check-methods.ts';
import type { PolicySet, PolicySource } from '../../src/app/policy-source.ts';
import { createProcess, type Process } from '../../src/app/process.ts';
import { type AuthzServer, startAuthz } from '../../src/app/start-authz.ts';
import { packPlan } from '../../src/authz/index.ts';
import { writeCheckRequest } from '../../src/check/index.ts';
import { type Facts, FactsFeed } from '../../src/facts/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { encodePem, TrustDomain } from '../../src/spiffe/index.ts';
import { dialUnix } from '../../src/wire/index.ts';
import { eventually } from '../programs/eventually.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from './test-certificates.ts';
import { policyOf, WEB } from './test-policies.ts';

const LIFE_MS = 86_400_000;

/** What a thread that answers checks stands on: a trust domain, policies and a process, in a folder of its own. */
export class AuthzGround {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'authz-'));
  readonly socket: string = path.join(this.folder, 'authz.sock');
  readonly process: Process = createProcess('fatal');
  readonly authority: TestCertificate;
  readonly feed: FactsFeed;
  readonly #listeners = new Set<() => void>();
  #set: PolicySet;

  private constructor(authority: TestCertificate) {
    this.authority = authority;
    const own = { ...bundleOf('prod.example', authority), sequenceNumber: 1n };
    const facts: Facts = {
      trust: { own, federated: new Map(), terms: new Map() },
      revocations: [],
    };
    const source = { current: () => facts, watch: () => () => {} };
    this.feed = new FactsFeed({ source, clock: systemClock });
    this.#set = setOf('first', '/v1/**');
  }

  static async open(): Promise<AuthzGround> {
    const life = lifeNow();
    return new AuthzGround(await makeAuthority({ uris: ['spiffe://prod.example'], ...life }));
  }

  /** @param more of the section `authz` */
  async start(
    more: Partial<AuthzFile> = {},
    feed: Pick<FactsFeed, 'open'> = this.feed,
  ): Promise<AuthzServer> {
    const config = buildAuthz({ socket: this.socket, policies: this.folder, ...more });
    if (config === undefined) throw new Error('there is no configuration');
    return await startAuthz({
      config,
      process: this.process,
      trustDomain: TrustDomain.parse('prod.example'),
      agentSocket: path.join(this.folder, 'agent.sock'),
      facts: feed,
      policies: this.policies(),
    });
  }

  /** Others take the place of the policies. */
  allow(digest: string, target: string): void {
    this.#set = setOf(digest, target);
    for (const listener of this.#listeners) listener();
  }

  async warm(): Promise<void> {
    const faults = () => this.process.readiness.check().checks.filter(({ isReady }) => !isReady);
    await eventually(
      'the warmed thread',
      async () => faults().every(({ name }) => name === 'process') || undefined,
    );
  }

  async certificateOf(id: string = WEB): Promise<TestCertificate> {
    return await makeCertificate({ issuer: this.authority, uris: [id], ...lifeNow() });
  }

  async request(target = '/v1/x'): Promise<Buffer> {
    const { der } = await this.certificateOf();
    return writeCheckRequest({
      source: { ip: '10.0.0.1', principal: WEB, certificate: encodePem('CERTIFICATE', der) },
      destination: 'spiffe://prod.example/api',
      method: 'GET',
      target,
      host: 'api.prod.example',
      headers: {},
      hasRawHeaders: true,
    });
  }

  dialUnix(): Client {
    const dial = dialUnix(this.socket);
    return new Client(dial.target, dial.credentials, {
      ...dial.options,
      'grpc.use_local_subchannel_pool': 1,
    });
  }

  dialTcp(port: number): Client {
    return new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  async close(): Promise<void> {
    this.feed.close();
    await this.process.closing.disposeAsync();
    rmSync(this.folder, { recursive: true });
  }

  policies(): PolicySource {
    return {
      current: () => this.#set,
      fault: () => undefined,
      watch: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
  }
}

/** Whether the request is allowed: the answer's code is 0. */
export async function isAllowed(client: Client, request: Buffer): Promise<boolean> {
  const answer = await callBytes(client, CHECK, request);
  // Status with code 0, or without.
  return answer[0] === 0x0a && (answer[1] === 0 || answer[3] === 0);
}

export function callBytes(client: Client, method: string, request: Buffer): Promise<Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(method, same, same, request, (error: ServiceError | null, answer) =>
      error === null ? resolve(answer ?? Buffer.alloc(0)) : reject(error),
    );
  });
}

function lifeNow() {
  const now = Date.now();
  return { notBefore: now - LIFE_MS, notAfter: now + LIFE_MS };
}

function setOf(digest: string, target: string): PolicySet {
  const image = packPlan([policyOf([{ allow: [`GET ${target}`] }])], digest);
  return { digest, image, rules: 1 };
}
