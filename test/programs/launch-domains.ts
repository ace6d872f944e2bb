import path from 'node:path';
import { freePorts } from './free-ports.ts';
import { type Domain, type DomainOptions, launchDomain } from './launch-domain.ts';

/** Two trust domains, each on a NATS of its own, that trust each other. */
export interface Domains extends AsyncDisposable {
  readonly a: Domain;
  readonly b: Domain;
}

/**
 * Starts a.test and b.test in `folder`, federated both ways over https_spiffe; the nats-server of b.test
 * is a leaf node of that of a.test. Resolves when each hears the other.
 */
export async function launchDomains(
  folder: string,
  options: Pick<DomainOptions, 'x509SvidTtl' | 'refreshHint'> = {},
): Promise<Domains> {
  await using starting = new AsyncDisposableStack();
  const [natsA = 0, natsB = 0, leaf] = await freePorts(3);
  const listen = ['--leaf-listen', `127.0.0.1:${leaf}`, '--leaf-node', 'spiffe://b.test/nats'];
  const remote = ['--leaf-remote', `localhost:${leaf}`];
  const [a, b] = await Promise.all(
    (
      [
        ['a', natsA, listen],
        ['b', natsB, remote],
      ] as const
    ).map(async ([letter, natsPort, natsFlags]) => {
      const place = { name: `${letter}.test`, folder: path.join(folder, letter) };
      return starting.use(await launchDomain({ ...options, ...place, natsPort, natsFlags }));
    }),
  );
  if (a === undefined || b === undefined) throw new Error('two trust domains');
  await Promise.all([a.federateWith(b), b.federateWith(a)]);
  await Promise.all([joinNats(a, b), joinNats(b, a)]);
  await areJoined(a, b);
  const stack = starting.move();
  return { a, b, [Symbol.asyncDispose]: async () => await stack.disposeAsync() };
}

async function joinNats(domain: Domain, other: Domain): Promise<void> {
  const flags = ['--dns', 'localhost', '--federates-with', other.name];
  await domain.createEntry(`spiffe://${domain.name}/nats`, ...flags);
  await domain.startNats();
}

/** Resolves when the nats-servers that run now, with streams, tell each other who listens. */
export async function areJoined(...domains: readonly Domain[]): Promise<void> {
  for (const { nats } of domains) await nats.line(/JetStream using domains/);
}
