/**
 * Opens as many FetchX509SVID streams, StreamSecrets streams and DeltaSecrets streams as the second
 * argument says on the Unix socket of the first, each kind on a connection of its own, and prints
 * `open` when each has had its first message. Meant to be stopped (SIGSTOP) then, so that it reads
 * nothing more.
 */

import { createWorkloadApiClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/system-clock.ts';
import { SECRET_TYPE_URL } from '../../src/sds/secret-messages.ts';
import { SdsClient } from '../fakes/sds-client.ts';

const [path, count] = process.argv.slice(2);
if (path === undefined || count === undefined) throw new Error('usage: idle-reader.ts PATH COUNT');
const address = { kind: 'unix', path } as const;

const workload = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
const sotw = new SdsClient(path);
const delta = new SdsClient(path);
const never = new AbortController().signal;
await Promise.all(
  Array.from({ length: Number(count) }, async () => {
    await workload.watchX509(never)[Symbol.asyncIterator]().next();
    const one = sotw.sotw();
    one.send({ type_url: SECRET_TYPE_URL, resource_names: ['default'] });
    const other = delta.delta();
    other.send({ type_url: SECRET_TYPE_URL, resource_names_subscribe: ['default'] });
    const [{ nonce }, { nonce: otherNonce }] = await Promise.all([one.next(), other.next()]);
    one.send({ type_url: SECRET_TYPE_URL, resource_names: ['default'], response_nonce: nonce });
    other.send({ type_url: SECRET_TYPE_URL, response_nonce: otherNonce });
  }),
);
console.log('open');
