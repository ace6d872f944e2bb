import {
  type AccessRequest,
  compilePlan,
  type Decision,
  decide,
  type Policy,
  policySchema,
} from '../../src/authz/index.ts';
import { SpiffeId } from '../../src/spiffe/index.ts';

const SERVICE = 'spiffe://prod.example/api';
export const WEB = 'spiffe://prod.example/ns/shop/sa/web';

/** A policy for `SERVICE` with these rules; `more` replaces other parts. */
export function policyOf(rules: readonly object[], more: object = {}): Policy {
  return policySchema.parse({
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: SERVICE,
    rules: rules.map((rule, at) => ({ id: `r${at}`, from: [WEB], ...rule })),
    ...more,
  });
}

interface Asked extends Partial<Omit<AccessRequest, 'caller' | 'http'>> {
  /** A SPIFFE ID, `none`, `bad_svid` or `unknown_trust_domain`. */
  readonly as?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, readonly string[]>>;
}

/** What `WEB` asks of `SERVICE`, as in `GET /x`; `tcp`: without HTTP. */
export function requestOf(line: string, asked: Asked = {}): AccessRequest {
  const { as = WEB, host, headers = {}, ...rest } = asked;
  const [method = '', target = ''] = line.split(' ');
  return {
    service: { spiffeId: SERVICE },
    caller:
      as === 'none'
        ? 'unauthenticated'
        : as === 'bad_svid' || as === 'unknown_trust_domain'
          ? as
          : SpiffeId.parse(as),
    http:
      line === 'tcp' ? undefined : { method, target, host, headers: (name) => headers[name] ?? [] },
    now: 0,
    ...rest,
  };
}

export function decideWith(policies: Policy | readonly Policy[], request: AccessRequest): Decision {
  return decide(compilePlan([policies].flat(), 'digest'), request);
}
