import { writeCheckRequest } from '../src/check/index.ts';
import { encodePem } from '../src/spiffe/index.ts';
import { makeAuthority, makeCertificate } from '../test/fakes/test-certificates.ts';

const CALLERS = 32;
const DOMAIN = 'bench.test';
const SERVICE = `spiffe://${DOMAIN}/ns/prod/sa/api`;
const LIFE_MS = 86_400_000;

/** What a server of checks needs to know, and what it is asked; texts, for messages between processes. */
export interface CheckGround {
  readonly rules: number;
  /** DER, in Base64. */
  readonly authority: string;
  /** Encoded CheckRequests in Base64; three of four are allowed. */
  readonly requests: readonly string[];
}

/** Requests of callers with certificates for rules that lie all over the policy. */
export async function makeCheckGround(rules: number): Promise<CheckGround> {
  const now = Date.now();
  const life = { notBefore: now - LIFE_MS, notAfter: now + LIFE_MS };
  const authority = await makeAuthority({ uris: [`spiffe://${DOMAIN}`], ...life });
  const requests = await Promise.all(
    Array.from({ length: CALLERS }, async (_, count) => {
      const at = (count * 7_919) % rules;
      const id = idOf(at);
      const { der } = await makeCertificate({ issuer: authority, uris: [id], ...life });
      const bytes = writeCheckRequest({
        source: { ip: '10.1.2.3', principal: id, certificate: encodePem('CERTIFICATE', der) },
        destination: SERVICE,
        method: 'GET',
        target: count % 4 === 0 ? '/v2/nothing' : `/v1/items/${at}/state`,
        host: 'api.bench.test',
        headers: {
          accept: '*/*',
          'user-agent': 'bench/1.0 (like a browser that says a lot of itself)',
          'x-request-id': `6f0b1f0a-4b1c-4b59-9d5b-0d1a1a1f2b${String(count).padStart(2, '0')}`,
          'x-forwarded-proto': 'https',
          'accept-encoding': 'gzip, deflate, br',
          'x-user': 'forged',
        },
        hasRawHeaders: true,
      });
      return bytes.toString('base64');
    }),
  );
  return { rules, authority: Buffer.from(authority.der).toString('base64'), requests };
}

/** Each rule has a caller and a path of its own; every other has a wildcard in both. */
export function policyDocument(rules: number): unknown {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVICE,
    rules: Array.from({ length: rules }, (_, at) => ({
      id: `rule-${at}`,
      from: [at % 2 ? `spiffe://${DOMAIN}/ns/team-${at}/sa/*` : idOf(at)],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : `GET /v1/items/${at}/state`],
      map: { 'x-user': 'client' },
    })),
  };
}

function idOf(at: number): string {
  return `spiffe://${DOMAIN}/ns/team-${at}/sa/web`;
}
