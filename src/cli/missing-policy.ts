import type { AccessRequest, Policy } from '../authz/index.ts';

const MAX_SHOWN = 4;

/** Why there is no policy for a service: whom those are for that there are. */
export function missingPolicy(
  { spiffeId, contextExtension }: AccessRequest['service'],
  policies: readonly { readonly policy: Policy }[],
): string {
  const asked = [spiffeId, contextExtension].filter((one) => one !== undefined).join(' or ');
  const services = new Set(
    policies.map(({ policy: { service } }) =>
      'contextExtension' in service ? service.contextExtension : service.text,
    ),
  );
  const shown = [...services].slice(0, MAX_SHOWN);
  const more = services.size - shown.length;
  const names = [...shown, ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return `no policy is for ${asked === '' ? 'a service without a name' : asked}; these are for ${names}`;
}
