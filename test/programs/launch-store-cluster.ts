import { webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { encodePem } from '../../src/spiffe/index.ts';
import {
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
} from '../fakes/test-certificates.ts';
import { SubjectAlternativeNameExtension } from '../oracles/x509.ts';
import { createNatsProgram, type NatsProgram } from './launch-nats-server.ts';
import { runTrustplane } from './launch-trustplane.ts';
import type { NetworkHost } from './network-hosts.ts';

const DAY_MS = 86_400_000;

/** nats-servers for the store of a trust domain, set up by the commands of the product. */
export interface StoreCluster extends AsyncDisposable {
  /** In the order of the hosts. */
  readonly programs: readonly NatsProgram[];
  /** The section `server.store` of servers that use it. */
  readonly store: Readonly<Record<string, unknown>>;
}

/** Starts one on each host, with mTLS and an NKEY; resolves when they have a leader and each knows it. */
export async function launchStoreCluster(
  folder: string,
  hosts: readonly NetworkHost[],
): Promise<StoreCluster> {
  const at = (name: string): string => path.join(folder, name);
  await mkdir(folder, { recursive: true });
  const ca = await makeAuthority({ uris: ['spiffe://store.test'], ...times() });
  await writeFile(at('ca.pem'), encodePem('CERTIFICATE', ca.der));
  await writeIdentity(at('client.pem'), { issuer: ca });
  const seedFile = ['--seed-file', at('server.nk'), '--output', 'json'];
  const { publicKey }: { publicKey: string } = JSON.parse(await run('create-nkey', ...seedFile));
  const routes = hosts.flatMap(({ address }) => ['--route', `${address}:6222`]);
  await using starting = new AsyncDisposableStack();
  const programs = await Promise.all(
    hosts.map(async ({ name, address, spawn }) => {
      const extensions = [new SubjectAlternativeNameExtension([{ type: 'ip', value: address }])];
      await mkdir(at(name));
      await writeIdentity(at(`${name}.pem`), { issuer: ca, uris: [], extensions });
      const which = ['--for', 'store', '--trust-domain', 'example.org', '--server-name', name];
      const listen = ['--listen', `${address}:4222`, '--cluster-listen', `${address}:6222`];
      const own = ['--cert-file', at(`${name}.pem`), '--key-file', at(`${name}.pem`)];
      const others = ['--ca-file', at('ca.pem'), '--nkey', publicKey, ...routes];
      await run('config', '--dir', at(name), ...which, ...listen, ...own, ...others);
      return starting.use(await createNatsProgram(at(`${name}/nats-server.conf`), spawn));
    }),
  );
  await Promise.all(programs.map((program) => program.start()));
  await Promise.all(
    programs.map((program) => program.line(/new (JetStream cluster )?metadata leader/)),
  );
  const stack = starting.move();
  return {
    programs,
    store: {
      type: 'jetstream',
      servers: hosts.map(({ address }) => `tls://${address}:4222`),
      caFile: at('ca.pem'),
      certificateFile: at('client.pem'),
      privateKeyFile: at('client.pem'),
      nkeySeedFile: at('server.nk'),
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function writeIdentity(file: string, options: TestCertificateOptions): Promise<void> {
  const { der, keys }: TestCertificate = await makeCertificate({ ...options, ...times() });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = encodePem('PRIVATE KEY', new Uint8Array(pkcs8));
  await writeFile(file, encodePem('CERTIFICATE', der) + key, { mode: 0o600 });
}

function times(): { readonly notBefore: number; readonly notAfter: number } {
  return { notBefore: Date.now() - DAY_MS, notAfter: Date.now() + DAY_MS };
}

async function run(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runTrustplane('nats', ...args);
  if (code !== 0) throw new Error(`trustplane nats ${args[0]} ended with ${code}: ${stderr}`);
  return stdout;
}
