import { SdsClient, type SdsTestStream } from '../fakes/sds-client.ts';
import type { TrustedRoots } from './time-root.ts';

/** An open SDS stream, as an Envoy has it, for the authorities of one trust domain. */
export interface RootWatch {
  readonly roots: TrustedRoots;
  close(): void;
}

/** Opens it on an agent's socket; resolves with its first answer. */
export async function watchRoots(socket: string, trustDomain: string): Promise<RootWatch> {
  const client = new SdsClient(socket);
  const resource_names = [`spiffe://${trustDomain}`];
  const stream = client.sotw();
  stream.send({ node: { id: 'envoy' }, resource_names });
  let latest = await next(stream, resource_names);
  const following = follow();
  return {
    roots: () => latest,
    close: () => {
      stream.call.cancel();
      client.close();
      void following;
    },
  };

  /** Ends with the stream. */
  async function follow(): Promise<void> {
    try {
      for (;;) latest = await next(stream, resource_names);
    } catch {}
  }
}

/** The authorities of the next answer, which is acknowledged. */
async function next(
  stream: SdsTestStream,
  resource_names: readonly string[],
): Promise<ReadonlySet<string>> {
  const { secrets, version, nonce } = await stream.next();
  stream.send({ version_info: version, response_nonce: nonce, resource_names });
  return new Set(secrets.flatMap(({ text }) => text.replace(/^[^ ]+: /u, '').split(' + ')));
}
