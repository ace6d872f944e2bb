import { TrustplaneError } from '../spiffe/index.ts';
import type { ConfigFile } from './config-schema.ts';

type UpstreamFile = NonNullable<NonNullable<NonNullable<ConfigFile['server']>['ca']>['upstream']>;

/** What signs the X.509 authorities of a server. */
export type UpstreamConfig =
  | ({ readonly kind: 'disk' } & NonNullable<UpstreamFile['disk']>)
  | ({ readonly kind: 'spire' } & NonNullable<UpstreamFile['spire']>);

/** @throws TrustplaneError ERR_CONFIG when it names none, or two */
export function buildUpstream(file: UpstreamFile | undefined): UpstreamConfig | undefined {
  if (file === undefined) return undefined;
  const { disk, spire } = file;
  if (disk !== undefined && spire === undefined) return { kind: 'disk', ...disk };
  if (spire !== undefined && disk === undefined) return { kind: 'spire', ...spire };
  throw new TrustplaneError(
    'ERR_CONFIG',
    `server.ca.upstream: expected disk or spire; got ${disk === undefined ? 'neither' : 'both'}`,
  );
}
