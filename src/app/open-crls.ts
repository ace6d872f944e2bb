import { CrlPublisher, CrlRegistry, type IssuedSource, type X509Ca } from '../ca/index.ts';
import { limitLog } from '../ops/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import type { Bucket } from '../store/index.ts';
import type { Process } from './process.ts';

/** The CRLs of the control plane, and of this server among them. */
export interface Crls {
  readonly crls: CrlRegistry;
  /** Signs authorities of servers below, which no CRL of this control plane can speak for. */
  readonly downstreamCa: Pick<X509Ca, 'issueDownstreamCa'>;
}

/** Keeps those of this server's authorities; closed with `process`. @throws TrustplaneError ERR_STORE_* */
export async function openCrls(
  { clock, log, metrics, closing }: Process,
  bucket: Bucket,
  server: {
    readonly ca: X509Ca;
    readonly revocations: RevocationRegistry;
    readonly ledger: IssuedSource | undefined;
  },
): Promise<Crls> {
  const limited = limitLog(log, clock);
  const crls = await CrlRegistry.load({ bucket, clock, log: limited });
  closing.defer(() => crls.close());
  const publisher = new CrlPublisher({
    ...server,
    bucket,
    registry: crls,
    clock,
    log: limited,
    metrics,
  });
  closing.defer(() => publisher.close());
  const downstreamCa: Crls['downstreamCa'] = {
    async issueDownstreamCa(request) {
      await publisher.withhold();
      return await server.ca.issueDownstreamCa(request);
    },
  };
  return { crls, downstreamCa };
}
