import { createWorkloadApiClient } from '../src/client/index.ts';
import { systemClock } from '../src/ops/index.ts';
import { SdsClient, type SdsTestStream } from '../test/fakes/sds-client.ts';

/** The identities on one FetchX509SVID stream. */
export function watchIdentities(socket: string, stack: AsyncDisposableStack) {
  const address = { kind: 'unix', path: socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  const stopped = new AbortController();
  let ids: ReadonlySet<string> = new Set();
  const waiting = new Set<() => void>();
  const reading = (async () => {
    for await (const event of client.watchX509(stopped.signal)) {
      if (event.type !== 'update') continue;
      ids = new Set(event.context.svids.map(({ svid }) => svid.spiffeId.toString()));
      for (const look of waiting) look();
    }
  })();
  stack.defer(async () => {
    stopped.abort();
    await reading;
    client.close();
  });
  return {
    /** Resolves with the instant (performance.now) at which the identities are as `isSo` says. */
    settled: (isSo: (ids: ReadonlySet<string>) => boolean): Promise<number> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!isSo(ids)) return;
          waiting.delete(look);
          resolve(performance.now());
        };
        waiting.add(look);
        look();
      }),
  };
}

/** One delta SDS stream, to which names are added. */
export function followSecrets(socket: string, stack: AsyncDisposableStack) {
  const client = new SdsClient(socket);
  const stream = client.delta();
  stack.defer(() => {
    stream.call.cancel();
    client.close();
  });
  stream.send({ type_url: TYPE_URL, node: { id: 'bench' }, resource_names_subscribe: ['ROOTCA'] });
  const until = async (isSo: (response: Response) => boolean): Promise<number> => {
    for (;;) {
      const response = await stream.next();
      const at = performance.now();
      stream.send({ type_url: TYPE_URL, response_nonce: response.nonce });
      if (isSo(response)) return at;
    }
  };
  return {
    subscribe: async (name: string): Promise<number> => {
      stream.send({ type_url: TYPE_URL, resource_names_subscribe: [name] });
      return await until(({ secrets }) => secrets.some((secret) => secret.name === name));
    },
    removal: async (name: string): Promise<number> =>
      await until(({ removed }) => removed.includes(name)),
  };
}

type Response = Awaited<ReturnType<SdsTestStream['next']>>;
const TYPE_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
