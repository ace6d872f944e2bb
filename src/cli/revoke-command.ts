import { Command } from 'commander';
import type { RevokedView, UnsuspendedView } from '../client/revocation-client.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, withAdminSocket } from './options.ts';
import { formatImpact, formatRevoked } from './revocation-text.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createRevocationClient }) => createRevocationClient);

interface SubjectOptions extends AdminOptions {
  readonly spiffeId?: string;
  readonly entry?: string;
  readonly agent?: string;
  readonly serial?: string;
  readonly reason?: string;
}

interface RevokeOptions extends SubjectOptions {
  readonly reissue?: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

const REVOKE_EXAMPLES = `
Examples:
  trustplane revoke --spiffe-id spiffe://example.org/web --reason 'its key is in a public log'
  trustplane revoke --entry 7f0c3a1e-2b7d-4d52-9b52-0d3f4f4b4a10 --dry-run
  trustplane revoke --spiffe-id spiffe://example.org/web --reissue
  trustplane revoke --agent spiffe://example.org/spire/agent/join_token/0f3c --reason 'the host was broken into'
  trustplane revoke --serial 019b76daa800c85ea081e413981215e7

What was issued until now is refused. Nothing more is issued, until it is given back with
trustplane unsuspend; with --reissue new SVIDs take the place of the old ones at once. A serial number is
of one SVID: its holder gets another.`;

const UNSUSPEND_EXAMPLES = `
Examples:
  trustplane unsuspend --spiffe-id spiffe://example.org/web --reason 'rolled out anew'
  trustplane unsuspend --agent spiffe://example.org/spire/agent/join_token/0f3c

New SVIDs are issued at once. What was revoked stays so.`;

export function revokeCommand(io: Io): Command {
  return withSubject(withAdminSocket(new Command('revoke'), io))
    .description('Take an identity back: refuse what was issued, and issue nothing more.')
    .option('--serial <hex>', 'serial number of one X509-SVID')
    .option('--reissue', 'issue new SVIDs at once instead of suspending')
    .option('--dry-run', 'only say whom it concerns')
    .option('--force', 'also where nothing is known of it')
    .addHelpText('after', REVOKE_EXAMPLES)
    .action((options: RevokeOptions) => revoke(io, options));
}

export function unsuspendCommand(io: Io): Command {
  return withSubject(withAdminSocket(new Command('unsuspend'), io))
    .description('Give an identity back that was suspended.')
    .addHelpText('after', UNSUSPEND_EXAMPLES)
    .action((options: SubjectOptions) => unsuspend(io, options));
}

function withSubject(command: Command): Command {
  return command
    .option('--spiffe-id <id>', 'all SVIDs of a SPIFFE ID')
    .option('--entry <id>', 'those of a registration entry')
    .option('--agent <id>', 'those of an agent, and all that were got through it')
    .option('--reason <text>', 'why, for the list and the audit log');
}

async function revoke(io: Io, options: RevokeOptions): Promise<void> {
  const subject = subjectOf(options);
  const { reason = '', reissue = false, dryRun = false, force = false } = options;
  await withClient(options, async (client) => {
    const done = await client.revoke({
      subject,
      reason,
      isReissued: reissue,
      isDryRun: dryRun,
      isForced: force,
    });
    const isReissued = reissue || subject.serial !== undefined;
    const shown: RevokedView & { readonly dryRun: boolean } = { ...done, dryRun };
    print(io, options.output, shown, formatRevoked(done, { isReissued, isDryRun: dryRun }));
  });
}

async function unsuspend(io: Io, options: SubjectOptions): Promise<void> {
  const subject = subjectOf(options);
  await withClient(options, async (client) => {
    const done: UnsuspendedView = await client.unsuspend(subject, options.reason ?? '');
    const { kind = '', value = '' } = done.suspension ?? {};
    const text = `lifted the suspension of the ${kind} ${value}: ${formatImpact(done.impact)}`;
    print(io, options.output, done, text);
  });
}

/** @throws TrustplaneError ERR_USAGE */
function subjectOf({ spiffeId, entry, agent, serial }: SubjectOptions) {
  const given = [spiffeId, entry, agent, serial].filter((one) => one !== undefined);
  if (given.length === 1) return { spiffeId, entry, agent, serial };
  const message = `expected one of --spiffe-id, --entry, --agent and --serial; got ${given.length}`;
  throw new TrustplaneError('ERR_USAGE', message);
}
