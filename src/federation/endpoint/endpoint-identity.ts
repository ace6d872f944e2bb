import type { Metrics } from '../../ops/index.ts';
import type { TlsIdentity } from '../../wire/index.ts';

/** What a bundle endpoint shows, as it is now. */
export interface EndpointIdentity {
  /** @throws TrustplaneError when there is none */
  current(): TlsIdentity;
  /** Why connections fail, or soon will; undefined: all is well. */
  fault(): string | undefined;
  /** Begins to keep it new, to be called once, when it is served. */
  start(): void;
  /** Ends that. */
  close(): Promise<void>;
}

/** What is counted of a certificate of Web PKI. */
export interface CertificateMetrics {
  /** It was not taken up, or not renewed. */
  failed(): void;
}

/** `notAfter` answers in milliseconds since the epoch. */
export function createCertificateMetrics(
  metrics: Metrics,
  notAfter: () => number | undefined,
): CertificateMetrics {
  metrics.readGauge(
    'trustplane_federation_endpoint_certificate_expiry_seconds',
    'When the Web PKI certificate of the bundle endpoint expires, in seconds since the epoch.',
    (set) => {
      const instant = notAfter();
      if (instant !== undefined) set({}, Math.floor(instant / 1_000));
    },
  );
  const failures = metrics.counter(
    'trustplane_federation_endpoint_certificate_failures_total',
    'Certificates of the bundle endpoint that could not be taken up or renewed.',
  );
  return { failed: () => failures.inc() };
}
