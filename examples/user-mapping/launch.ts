import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePorts } from '../../test/programs/free-ports.ts';
import type { RunningEnvoy } from '../../test/programs/launch-envoy.ts';
import { adminSocketOf, launchEnvoy } from '../../test/programs/launch-envoy.ts';
import type { RunningTrustplane } from '../../test/programs/launch-trustplane.ts';
import { launchTrustplane } from '../../test/programs/launch-trustplane.ts';
import { renderBootstrap } from '../../test/programs/render-bootstrap.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { serveApp } from './app.ts';

export const appId = 'spiffe://example.org/issues';
export const adaId = 'spiffe://example.org/team/shop/ada';
export const jobId = 'spiffe://example.org/ci/shop/build';
export const webId = 'spiffe://example.org/web';

/** trustplane, an application behind two Envoys, and the Envoy beside a user. */
export interface Place extends AsyncDisposable {
  readonly folder: string;
  readonly trustplane: RunningTrustplane;
  /** The directory that is decided by. */
  readonly policies: string;
  /** The sidecar as it is shipped, and one that lets `_` in names of headers pass. */
  readonly sidecar: string;
  readonly laxSidecar: string;
  /** Plain HTTP for Ada, whose Envoy speaks mTLS as her. */
  readonly ofAda: string;
  /** The application itself, which only its sidecars should dial. */
  readonly app: string;
  /** Entry of the job. */
  readonly jobEntry: string;
  /** Rejects when a program ends by itself; never resolves. */
  readonly failed: Promise<never>;
}

/** Starts everything; what was started ends when a part fails. */
export async function launchPlace(): Promise<Place> {
  await using starting = new AsyncDisposableStack();
  const run = createRunFolder();
  starting.defer(async () => await run.remove());
  const folder = run.path;
  const at = (name: string): string => path.join(folder, name);
  const policies = at('policies');
  mkdirSync(policies);
  copyFileSync(
    path.join(import.meta.dirname, 'policies', 'issues.yaml'),
    path.join(policies, 'issues.yaml'),
  );
  const [port = 0] = await freePorts(1);
  writeFileSync(at('trustplane.yaml'), configuration(at('authz.sock'), policies, port));
  const trustplane = await launchTrustplane(folder, '--config', at('trustplane.yaml'));
  starting.defer(async () => void (await trustplane.stop()));
  starting.use(
    await serveApp({
      socketPath: at('app.sock'),
      jwks: new URL(`http://127.0.0.1:${port}/authz/jwks.json`),
      issuer: 'spiffe://example.org',
      audience: appId,
    }),
  );
  const envoys: RunningEnvoy[] = [];
  for (const [name, bootstrap] of await bootstraps(folder, trustplane.socket)) {
    const envoy = await launchEnvoy({ folder, name, bootstrap });
    starting.defer(async () => await envoy.stop());
    envoys.push(envoy);
  }
  for (const id of [appId, adaId, webId]) await trustplane.createEntry(id);
  const jobEntry = await trustplane.createEntry(jobId);
  await Promise.all(envoys.map(async (envoy) => await envoy.waitReady()));
  const failed = endOfAny([
    ['trustplane', trustplane],
    ...envoys.map((one) => [one.name, one] as const),
  ]);
  failed.catch(() => {});
  const stack = starting.move();
  return {
    folder,
    trustplane,
    policies,
    sidecar: at('sidecar.sock'),
    laxSidecar: at('lax.sock'),
    ofAda: at('ada.sock'),
    app: at('app.sock'),
    jobEntry,
    failed,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

function configuration(socket: string, policies: string, port: number): string {
  return `authz: { socket: ${socket}, policies: ${policies}, assertion: {} }
metrics: { address: "127.0.0.1:${port}" }
log: { level: warn }
`;
}

/** What each Envoy is started with, by its name. */
async function bootstraps(
  folder: string,
  agentSocket: string,
): Promise<readonly (readonly [string, string])[]> {
  const sidecar = async (name: string): Promise<string> =>
    await renderBootstrap('authorized-sidecar', {
      'spiffe://example.org/server': appId,
      '127.0.0.1:9901': adminSocketOf(folder, name),
      '0.0.0.0:8443': path.join(folder, `${name}.sock`),
      '127.0.0.1:8080': path.join(folder, 'app.sock'),
      '/run/trustplane/agent.sock': agentSocket,
      '/run/trustplane/authz.sock': path.join(folder, 'authz.sock'),
    });
  const ada = await renderBootstrap('client-sidecar', {
    'spiffe://example.org/client': adaId,
    'spiffe://example.org/server': appId,
    '127.0.0.1:9902': adminSocketOf(folder, 'ada'),
    '127.0.0.1:8081': path.join(folder, 'ada.sock'),
    '127.0.0.1:8443': path.join(folder, 'sidecar.sock'),
    '/run/trustplane/agent.sock': agentSocket,
  });
  const underscores = 'headers_with_underscores_action:';
  const lax = (await sidecar('lax')).replace(
    `${underscores} REJECT_REQUEST`,
    `${underscores} ALLOW`,
  );
  return [
    ['sidecar', await sidecar('sidecar')],
    ['lax', lax],
    ['ada', ada],
  ];
}

async function endOfAny(
  programs: readonly (readonly [string, RunningTrustplane | RunningEnvoy])[],
): Promise<never> {
  const ends = programs.map(async ([name, program]) => {
    const how = await program.ended;
    return `${name} ended with ${how}:\n${program.lines.slice(-20).join('\n')}`;
  });
  throw new Error(await Promise.race(ends));
}
