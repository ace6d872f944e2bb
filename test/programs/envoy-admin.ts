import { X509Certificate } from 'node:crypto';
import { eventually } from './eventually.ts';
import type { TiedChild } from './tied-child.ts';
import { requestUnix } from './unix-http.ts';

/** A certificate that Envoy presents, as its /certs tells. */
export interface EnvoyCertificate {
  readonly spiffeId: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** A secret that Envoy has taken over SDS and uses. */
export interface EnvoySecret {
  readonly name: string;
  readonly versionInfo: string;
  /** The chain, leaf first, of a TLS certificate; empty for a validation context. */
  readonly chain: readonly X509Certificate[];
  /** The authorities of a validation context with a SPIFFE validator, by trust domain. */
  readonly authorities: ReadonlyMap<string, readonly X509Certificate[]>;
}

/** What tests ask Envoy's admin interface for. */
export interface EnvoyAdmin {
  /** A raw request, such as `/listeners`. */
  admin(path: string, method?: 'GET' | 'POST'): Promise<string>;
  /** Certificates in use, one per SPIFFE ID and serial. */
  certificates(): Promise<readonly EnvoyCertificate[]>;
  /** Serial numbers, lower-case hex, of the authorities of a trust domain that are trusted, as its /certs tells. */
  authorities(trustDomain: string): Promise<ReadonlySet<string>>;
  /** Secrets in use; those still waited for are not in it. */
  secrets(): Promise<readonly EnvoySecret[]>;
  /** Counters and gauges whose name matches. */
  stats(pattern: string): Promise<ReadonlyMap<string, number>>;
  /** Resolves when Envoy is live: every secret is there and its listeners are open. */
  waitReady(timeoutMs?: number): Promise<void>;
  /** Resolves when the admin interface answers, live or not. */
  waitStarted(timeoutMs?: number): Promise<void>;
}

/** The admin interface on a Unix socket; `child` is watched for an early end. */
export function createEnvoyAdmin(socketPath: string, child: TiedChild): EnvoyAdmin {
  let ended: number | NodeJS.Signals | undefined;
  void child.ended.then((how) => (ended = how));
  const ask = async (path: string, method = 'GET') =>
    await requestUnix({ socketPath, path, method });
  const admin = async (path: string, method?: 'GET' | 'POST') => {
    const { status, body } = await ask(path, method);
    if (status !== 200) throw new Error(`Envoy's admin answers ${status} to ${path}: ${body}`);
    return body;
  };
  const wait = async (
    what: string,
    timeoutMs: number | undefined,
    good: (status: number) => boolean,
  ) => {
    const poll = async () => {
      if (ended !== undefined) return 'ended';
      return good((await ask('/ready')).status) ? 'good' : undefined;
    };
    const outcome = await eventually(what, poll, { timeoutMs: timeoutMs ?? 15_000 });
    if (outcome === 'ended')
      throw new Error(`Envoy ended with ${ended}:\n${child.lines.slice(-20).join('\n')}`);
  };
  return {
    admin,
    certificates: async () => readCertificates(await admin('/certs')),
    authorities: async (trustDomain) => readAuthorities(await admin('/certs'), trustDomain),
    secrets: async () => readSecrets(await admin('/config_dump?resource=dynamic_active_secrets')),
    stats: async (pattern) =>
      readStats(await admin(`/stats?format=json&filter=${encodeURIComponent(pattern)}`)),
    waitReady: async (timeoutMs) =>
      await wait('Envoy is live', timeoutMs, (status) => status === 200),
    waitStarted: async (timeoutMs) => await wait('Envoy has started', timeoutMs, () => true),
  };
}

interface CertificateAnswer {
  readonly serial_number: string;
  readonly expiration_time: string;
  readonly subject_alt_names?: readonly { readonly uri?: string }[];
}

interface CertsAnswer {
  readonly certificates: readonly {
    readonly ca_cert?: readonly CertificateAnswer[];
    readonly cert_chain?: readonly CertificateAnswer[];
  }[];
}

function readCertificates(body: string): EnvoyCertificate[] {
  const answer: CertsAnswer = JSON.parse(body);
  const found = new Map<string, EnvoyCertificate>();
  for (const leaf of answer.certificates.flatMap(
    ({ cert_chain }) => cert_chain?.slice(0, 1) ?? [],
  )) {
    const spiffeId = uriOf(leaf);
    const serialNumber = leaf.serial_number.toLowerCase();
    const expiresAt = Date.parse(leaf.expiration_time);
    found.set(`${spiffeId} ${serialNumber}`, { spiffeId, serialNumber, expiresAt });
  }
  return [...found.values()];
}

function readAuthorities(body: string, trustDomain: string): ReadonlySet<string> {
  const answer: CertsAnswer = JSON.parse(body);
  const all = answer.certificates.flatMap(({ ca_cert }) => ca_cert ?? []);
  const own = all.filter((authority) => uriOf(authority) === `spiffe://${trustDomain}`);
  return new Set(own.map(({ serial_number }) => serial_number.toLowerCase()));
}

function uriOf({ subject_alt_names }: CertificateAnswer): string {
  return subject_alt_names?.find(({ uri }) => uri !== undefined)?.uri ?? '';
}

interface SecretsAnswer {
  readonly configs?: readonly {
    readonly name: string;
    readonly version_info?: string;
    readonly secret: {
      readonly tls_certificate?: { readonly certificate_chain: { readonly inline_bytes: string } };
      readonly validation_context?: {
        readonly custom_validator_config?: {
          readonly typed_config: {
            readonly trust_domains?: readonly {
              readonly name: string;
              readonly trust_bundle: { readonly inline_bytes: string };
            }[];
          };
        };
      };
    };
  }[];
}

function readSecrets(body: string): EnvoySecret[] {
  const answer: SecretsAnswer = JSON.parse(body);
  return (answer.configs ?? []).map(({ name, version_info, secret }) => ({
    name,
    versionInfo: version_info ?? '',
    chain: readPem(secret.tls_certificate?.certificate_chain.inline_bytes),
    authorities: new Map(
      (secret.validation_context?.custom_validator_config?.typed_config.trust_domains ?? []).map(
        (domain) => [domain.name, readPem(domain.trust_bundle.inline_bytes)],
      ),
    ),
  }));
}

function readPem(base64: string | undefined): X509Certificate[] {
  const text = Buffer.from(base64 ?? '', 'base64').toString('latin1');
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function readStats(body: string): ReadonlyMap<string, number> {
  const answer: { stats: { name?: string; value?: number }[] } = JSON.parse(body);
  const found = new Map<string, number>();
  for (const { name, value } of answer.stats)
    if (name !== undefined && typeof value === 'number') found.set(name, value);
  return found;
}
