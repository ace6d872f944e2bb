import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type Revocation,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, unlessConflict } from '../store/index.ts';
import { crlKeyOf, decodeCrl, encodeCrl, type KeptCrl } from './crl-record.ts';
import type { CrlRegistry } from './crl-registry.ts';
import { type CrlFields, writeCrlEntries } from './crl-writer.ts';
import { decideCrl } from './decide-crl.ts';
import { type IssuedSource, RevokedSerials } from './revoked-serials.ts';
import type { CrlIssuer, X509Ca } from './x509-ca.ts';

export interface CrlPublisherOptions {
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly registry: Pick<CrlRegistry, 'all'>;
  readonly ca: Pick<X509Ca, 'crlIssuers' | 'signCrl' | 'onRotation'>;
  readonly revocations: {
    list(): readonly Revocation[];
    watch(listener: () => void): () => void;
  };
  /** Without one a CRL names serial numbers that were revoked as such alone. */
  readonly ledger: IssuedSource | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What comes together is written together. */
const GATHER_MS = 100;
/** After one that names somebody; or ten times as long as it took. */
const REST_MS = 10_000;
const REST_FACTOR = 10;
/** What has expired goes then. */
const REFRESH_MS = 600_000;

/** Keeps the CRLs of this server's own authorities as they are to be: after each rotation and each revocation. */
export class CrlPublisher {
  readonly #options: CrlPublisherOptions;
  readonly #serials: RevokedSerials;
  readonly #stops: readonly (() => void)[];
  readonly #metrics;
  /** Own authorities that there were. */
  readonly #known = new Set<string>();
  /** Of those, which others stand below. */
  readonly #withheld = new Set<string>();
  /** Of those, whose key is gone: they sign nothing any more. */
  readonly #keyless = new Set<string>();
  #running: Promise<unknown> = Promise.resolve();
  #timer: Timer | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #restUntil = 0;
  #isClosed = false;

  constructor(options: CrlPublisherOptions) {
    this.#options = options;
    this.#serials = new RevokedSerials(options.ledger);
    this.#metrics = registerMetrics(options.metrics);
    const { ca, revocations } = options;
    this.#stops = [
      // The CRL is to be there when the bundle has the authority.
      ca.onRotation(() => this.#schedule(0)),
      revocations.watch(() => this.#scheduleGently()),
    ];
    this.#schedule(0);
  }

  /** Resolves when all that was due has been tried. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /**
   * Resolves when no CRL of an own authority is given to anybody to check against, for good: another authority is
   * to stand below them, and what that signs has no CRL here.
   * @throws TrustplaneError ERR_STORE_*, ERR_CA_CLOSED
   */
  async withhold(): Promise<void> {
    for (const { authorityId } of this.#options.ca.crlIssuers()) this.#withheld.add(authorityId);
    const [failure] = await this.#enqueue();
    if (failure !== undefined) throw failure;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#timer?.cancel();
    await this.#running;
  }

  #scheduleGently(): void {
    const { clock } = this.#options;
    this.#schedule(Math.max(GATHER_MS, this.#restUntil - clock.now()));
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#options;
    const at = clock.now() + delayMs;
    if (this.#isClosed || at >= this.#dueAt) return;
    this.#timer?.cancel();
    this.#dueAt = at;
    this.#timer = clock.setTimer(delayMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#enqueue();
    });
  }

  /** One time after the other; returns what failed. */
  async #enqueue(): Promise<readonly unknown[]> {
    const turn = this.#running.then(() => this.#publish());
    this.#running = turn;
    return await turn;
  }

  async #publish(): Promise<readonly unknown[]> {
    if (this.#isClosed) return [];
    const { clock, ca, revocations } = this.#options;
    const beganAt = clock.now();
    const issuers = ca.crlIssuers().filter(({ notAfter }) => notAfter > beganAt);
    const list = revocations.list();
    const failures: unknown[] = [];
    await this.#attempt(failures, async () => {
      const from = Math.min(...issuers.map(({ notBefore }) => notBefore), beganAt);
      await this.#serials.update(list, from, beganAt);
    });
    // What was named before stays so while it is not known what is to be.
    const isSure = failures.length === 0;
    let omitted = 0;
    let named = 0;
    for (const issuer of issuers.filter((each) => this.#maySign(each))) {
      const serials = this.#serials.namedBy(issuer.authorityId, list, clock.now());
      omitted += serials.omitted;
      named += serials.entries.length;
      const revoked = isSure ? writeCrlEntries(serials.entries) : undefined;
      await this.#attempt(failures, () => this.#write(issuer, revoked));
    }
    await this.#attempt(failures, () => this.#clear(issuers));
    this.#metrics.named.set(named);
    this.#metrics.omitted.set(omitted);
    this.#rest(beganAt, { named, hasFailed: failures.length > 0 });
    return failures;
  }

  #maySign({ authorityId, maySignCrls }: CrlIssuer): boolean {
    return maySignCrls && !this.#keyless.has(authorityId);
  }

  /** From what names nobody there is nothing to rest. */
  #rest(beganAt: number, { named, hasFailed }: { named: number; hasFailed: boolean }): void {
    const now = this.#options.clock.now();
    const pauseMs = (now - beganAt) * REST_FACTOR;
    this.#restUntil = now + Math.max(named > 0 ? REST_MS : 0, pauseMs);
    const isAgain = hasFailed || !this.#serials.isSettled;
    this.#schedule(isAgain ? Math.max(REST_MS, pauseMs) : REFRESH_MS);
  }

  async #attempt(failures: unknown[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#isClosed) return;
      this.#metrics.failures.inc();
      failures.push(error);
      this.#options.log.warn({ error: messageOf(error) }, 'a CRL could not be brought up to date');
    }
  }

  /** `revoked`: undefined for what is named already. */
  async #write(issuer: CrlIssuer, revoked: Uint8Array | undefined): Promise<void> {
    const { bucket, clock } = this.#options;
    const { authorityId } = issuer;
    this.#known.add(authorityId);
    const key = crlKeyOf(authorityId);
    const stored = await bucket.get(key);
    const kept = stored && readOrNothing(key, stored.value);
    const isWithheld = this.#withheld.has(authorityId) || kept?.isWithheld === true;
    const named = revoked ?? kept?.crl.revoked ?? new Uint8Array();
    const fields = decideCrl({ issuer, revoked: named, isWithheld }, kept, clock.now());
    const crl = fields && (await this.#sign(authorityId, fields));
    if (crl === undefined) return;
    await bucket.put(key, encodeCrl(crl, isWithheld), stored?.revision ?? 0);
    this.#metrics.signed.inc();
    const { log } = this.#options;
    log.info({ authorityId, number: String(fields?.number), bytes: crl.length }, 'CRL signed');
  }

  async #sign(authorityId: string, fields: CrlFields): Promise<Uint8Array | undefined> {
    try {
      return await this.#options.ca.signCrl(authorityId, fields);
    } catch (error) {
      if (!isWithoutKey(error)) throw error;
      this.#keyless.add(authorityId);
      this.#options.log.warn(
        { authorityId },
        'the CRL of an authority without its key stays as it is',
      );
      return undefined;
    }
  }

  /** Of authorities that are gone: own ones, and any that have ended. */
  async #clear(issuers: readonly CrlIssuer[]): Promise<void> {
    const { bucket, registry, clock } = this.#options;
    const own = new Set(issuers.map(({ authorityId }) => authorityId));
    for (const { crl } of registry.all()) {
      const { authorityId, nextUpdate } = crl;
      if (own.has(authorityId)) continue;
      if (nextUpdate > clock.now() && !this.#known.has(authorityId)) continue;
      const stored = await bucket.get(crlKeyOf(authorityId));
      if (stored !== undefined) {
        await unlessConflict(() => bucket.delete(stored.key, stored.revision));
      }
      this.#known.delete(authorityId);
    }
  }
}

function readOrNothing(key: string, value: Uint8Array): KeptCrl | undefined {
  try {
    return decodeCrl(key, value);
  } catch {
    return undefined;
  }
}

/** It signs nothing any more, nor stands anything new below it. */
function isWithoutKey(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_CA_KEY_MISSING';
}

function registerMetrics(metrics: Metrics) {
  const failures = metrics.counter(
    'trustplane_ca_crl_failures_total',
    'Times a CRL of this server could not be brought up to date.',
  );
  failures.inc(0);
  return {
    signed: metrics.counter('trustplane_ca_crls_signed_total', 'CRLs signed.'),
    failures,
    named: metrics.gauge(
      'trustplane_ca_crl_named_count',
      'Certificates that the CRLs of this server name.',
    ),
    omitted: metrics.gauge(
      'trustplane_ca_crl_omitted_count',
      'Revoked certificates that the CRLs of this server have no room for.',
    ),
  };
}
