import { randomBytes } from 'node:crypto';
import { CallerReader, CheckHandler, createDecisionMetrics } from '../check/index.ts';
import { type TrustMapSource, TrustplaneError } from '../spiffe/index.ts';
import type { RevocationSource } from '../svid/index.ts';
import { serveUnix } from '../wire/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { followPolicies } from './policy-directory.ts';
import { keepListening, type Process } from './process.ts';

const CHECK = '/envoy.service.auth.v3.Authorization/Check';
/** Envoy's headers have 60 KiB unless it is told otherwise, a certificate some 2. */
const MAX_REQUEST_BYTES = 1_048_576;
const ID_BYTES = 6;

/** Begins to answer Envoy's questions about requests; closed with `process`. @throws TrustplaneError ERR_SOCKET_* */
export async function openAuthz(
  config: AuthzConfig,
  process: Process,
  sources: { readonly trust: TrustMapSource; readonly revocations?: RevocationSource },
): Promise<void> {
  const { log, metrics, clock, closing, readiness } = process;
  const directory = config.policies;
  if (typeof directory !== 'string')
    throw new TrustplaneError('ERR_CONFIG', 'authz.policies: expected a directory');
  const policies = await followPolicies({ ...process, directory });
  closing.defer(() => policies.close());
  readiness.observe('policies', () =>
    policies.current() === undefined ? 'there are no policies; everything is denied' : undefined,
  );
  const callers = new CallerReader({
    trust: () => sources.trust.current(),
    findRevocation: (subject) => sources.revocations?.find({ agentId: undefined, ...subject }),
    needsCertificate: config.requirePeerCertificate,
    jwtSvid: config.jwtSvid,
    xfcc: config.xfcc,
    clock,
  });
  const handler = new CheckHandler({
    plan: () => policies.current(),
    callers,
    claims: config.claims,
    onDecision: createDecisionMetrics(metrics),
    idPrefix: randomBytes(ID_BYTES).toString('hex'),
    clock,
  });
  const server = await serveUnix({
    path: config.socket ?? '',
    mode: 0o777,
    bytes: {
      transport: 'quick',
      methods: new Map([[CHECK, (request: Buffer) => handler.check(request)]]),
      maxRequestBytes: MAX_REQUEST_BYTES,
    },
    name: 'authz',
    log,
    metrics,
    clock,
  });
  keepListening(process, server);
}
