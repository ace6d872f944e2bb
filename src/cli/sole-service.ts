import type { AccessRequest, Policy } from '../authz/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** The service that all policies are for. @throws TrustplaneError ERR_USAGE with `several`, where they are for none or several */
export async function soleService(
  policies: readonly Policy[],
  several: string,
): Promise<AccessRequest['service']> {
  const { sampleService } = await import('../authz/index.ts');
  const [first, ...others] = policies.map(sampleService);
  const isOne = others.every(
    (other) =>
      other.spiffeId === first?.spiffeId && other.contextExtension === first?.contextExtension,
  );
  if (first !== undefined && isOne) return first;
  throw new TrustplaneError('ERR_USAGE', several);
}
