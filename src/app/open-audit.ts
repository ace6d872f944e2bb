import type { AuditSource, UserNames } from '../api/index.ts';
import { NameDatabase } from '../attest/index.ts';
import { AuditLedger, isWanted, type Retention } from '../audit/index.ts';
import type { Log } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import { auditPlace } from './state-files.ts';

const MAX_FILE_BYTES = 67_108_864;
const FIRST_CHECK_MS = 60_000;
const CHECK_EVERY_MS = 86_400_000;
/** So that what is removed at once is a small part of what is kept. */
const LEAST_FILES = 8;

/**
 * Takes up the ledger of this server; closed with `process`. Damage is shown and does not keep it from serving; a
 * ledger that cannot be written does, until it can.
 * @throws TrustplaneError ERR_AUDIT_READ, ERR_FILE_*
 */
export async function openAudit(
  config: Config,
  { clock, log, metrics, closing, readiness, reloader }: Process,
  serverId: string,
): Promise<AuditLedger> {
  const ledger = await AuditLedger.open({
    ...auditPlace(config),
    owner: `the server ${serverId} of ${config.trustDomain.id}`,
    maxFileBytes: Math.min(MAX_FILE_BYTES, Math.ceil(config.audit.maxBytes / LEAST_FILES)),
    retention: retentionOf(config),
    clock,
    log,
    metrics,
  });
  closing.defer(() => ledger.close());
  const checks = checkNowAndThen(ledger, clock, log);
  closing.defer(() => checks.cancel());
  readiness.require('audit', () => ledger.fault);
  readiness.observe('audit-ledger', () => {
    const { damage } = ledger;
    return damage && `it is not what was written; see trustplane audit verify: ${damage}`;
  });
  reloader.add(['server.audit.maxBytes', 'server.audit.retain'], (next) =>
    ledger.setRetention(retentionOf(next)),
  );
  return ledger;
}

/** All of it, a while after the start and then daily: what is found is shown as damage. */
function checkNowAndThen(ledger: AuditLedger, clock: Clock, log: Log): { cancel(): void } {
  let timer = clock.setTimer(FIRST_CHECK_MS, check);
  function check(): void {
    timer = clock.setTimer(CHECK_EVERY_MS, check);
    ledger.verify().catch((error: unknown) => {
      log.warn({ error: messageOf(error) }, 'the audit ledger could not be checked');
    });
  }
  return { cancel: () => timer.cancel() };
}

/** The names of the users of this host. */
export function openUserNames({ log }: Pick<Process, 'log'>): UserNames {
  const users = new NameDatabase('/etc/passwd', (why) =>
    log.warn({ why }, 'names of users are not known'),
  );
  return (uid) => users.nameOf(uid);
}

function retentionOf({ audit }: Config): Retention {
  return { retainBytes: audit.maxBytes, retainMs: audit.retainMs };
}

/** What is served of it. */
export function auditSourceOf(ledger: AuditLedger): AuditSource {
  return {
    isWanted,
    read: (filter) => ledger.read(filter),
    watch: (listener) => ledger.watch(listener),
    verify: () => ledger.verify(),
  };
}
