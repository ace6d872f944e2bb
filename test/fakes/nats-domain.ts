import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BroadcastFileOptions, writeBroadcastConfig } from '../../src/app/nats-files.ts';
import type { NatsIdentity } from '../../src/nats/index.ts';
import { type Bundle, encodePem, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import { freePorts } from '../programs/free-ports.ts';
import { createNatsProgram, type NatsProgram } from '../programs/launch-nats-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from './test-certificates.ts';

const HOUR_MS = 3_600_000;

/** A trust domain whose authority signs what a test wants, in the machine's own time. */
export class NatsDomain {
  readonly trustDomain: TrustDomain;
  readonly authority: TestCertificate;
  readonly bundle: Bundle;

  private constructor(trustDomain: TrustDomain, authority: TestCertificate) {
    this.trustDomain = trustDomain;
    this.authority = authority;
    this.bundle = bundleOf(trustDomain.name, authority);
  }

  static async create(name: string): Promise<NatsDomain> {
    const authority = await makeAuthority({ uris: [`spiffe://${name}`], ...times() });
    return new NatsDomain(TrustDomain.parse(name), authority);
  }

  get pem(): string {
    return encodePem('CERTIFICATE', this.authority.der);
  }

  /** An SVID with this path, or any URI. */
  async issue(pathOrId: string, dns: readonly string[] = []): Promise<NatsIdentity> {
    const isPath = pathOrId.startsWith('/');
    const uri = isPath ? `spiffe://${this.trustDomain.name}${pathOrId}` : pathOrId;
    const made = await makeCertificate({ issuer: this.authority, uris: [uri], dns, ...times() });
    const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', made.keys.privateKey);
    return { certificateChain: [made.der], privateKey: new Uint8Array(pkcs8) };
  }
}

/** A nats-server that `trustplane nats config` has written, with an SVID of its domain. */
export interface DomainNatsServer extends NatsProgram {
  readonly url: string;
  readonly folder: string;
  readonly configFile: string;
  /** Has it present another SVID, and believe other domains beside its own. */
  present(identity: NatsIdentity, domains: readonly NatsDomain[]): Promise<void>;
}

/** Starts it; `localhost` is its name for other nats-servers. */
export async function launchDomainNats(
  domain: NatsDomain,
  options: Partial<BroadcastFileOptions> & { readonly federated?: readonly NatsDomain[] } = {},
): Promise<DomainNatsServer> {
  const { federated = [] } = options;
  const run = createRunFolder();
  const [port = 0] = await freePorts(1);
  const present: DomainNatsServer['present'] = async (identity, domains) => {
    await writeFile(path.join(run.path, 'svid.pem'), pemOf(identity), { mode: 0o600 });
    const bundles = [domain, ...domains].map(({ pem }) => pem).join('');
    await writeFile(path.join(run.path, 'bundle.pem'), bundles);
    await writeFile(path.join(run.path, 'own-bundle.pem'), domain.pem);
  };
  await present(await domain.issue('/nats', ['localhost']), federated);
  const configFile = await writeBroadcastConfig({
    folder: run.path,
    trustDomain: domain.trustDomain,
    serverName: `${domain.trustDomain.name}-${port}`,
    listen: `127.0.0.1:${port}`,
    monitor: undefined,
    jetStreamFolder: undefined,
    maxConnections: 1_000,
    cluster: undefined,
    natsId: undefined,
    publishers: [],
    leaf: undefined,
    leafRemotes: [],
    ...options,
  });
  const program = await createNatsProgram(configFile);
  await program.start();
  return {
    ...program,
    url: `tls://127.0.0.1:${port}`,
    folder: run.path,
    configFile,
    present,
    async [Symbol.asyncDispose]() {
      await program[Symbol.asyncDispose]();
      await run.remove();
    },
  };
}

/** The SPIFFE ID of a domain's nats-servers. */
export function natsIdOf({ trustDomain }: NatsDomain): SpiffeId {
  return SpiffeId.of(trustDomain, '/nats');
}

export function pemOf({ certificateChain, privateKey }: NatsIdentity): string {
  const chain = certificateChain.map((der) => encodePem('CERTIFICATE', der));
  return [...chain, encodePem('PRIVATE KEY', privateKey)].join('');
}

function times(): { readonly notBefore: number; readonly notAfter: number } {
  const now = Date.now();
  return { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
}
