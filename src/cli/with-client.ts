import type * as clients from '../client/index.ts';
import type { AdminOptions } from './options.ts';

/** A way to do work with a client of the admin socket: it is loaded then, and closed afterwards. */
export function clientOf<Client extends { close(): void }>(
  choose: (all: typeof clients) => (adminSocket: string) => Client,
): (options: AdminOptions, work: (client: Client) => Promise<void>) => Promise<void> {
  return async ({ adminSocket }, work) => {
    const create = choose(await import('../client/index.ts'));
    const client = create(adminSocket);
    try {
      await work(client);
    } finally {
      client.close();
    }
  };
}
