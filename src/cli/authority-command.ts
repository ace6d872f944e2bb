import { setTimeout } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { AuthorityClient, AuthorityKind, AuthorityStateView } from '../client/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Io, print } from './io.ts';
import { type AdminOptions, timeoutMs, withAdminSocket } from './options.ts';
import { formatRotation } from './rotation-text.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAuthorityClient }) => createAuthorityClient);

interface ActivateOptions extends AdminOptions {
  readonly force?: boolean;
  readonly wait: number;
}

const ASK_AGAIN_MS = 250;

const titles: Readonly<Record<AuthorityKind, string>> = { x509: 'X.509', jwt: 'JWT' };

export function authorityCommand(io: Io): Command {
  return new Command('authority')
    .description('Show and replace the authorities of the server, before the clock does.')
    .addHelpText('after', examples('x509'))
    .addCommand(kindCommand(io, 'x509'))
    .addCommand(kindCommand(io, 'jwt'))
    .addCommand(upstreamCommand(io));
}

function upstreamCommand(io: Io): Command {
  const example = (verb: string): string => `
Examples:
  trustplane authority upstream ${verb} 9c41…`;
  return new Command('upstream')
    .description('The authorities above the X.509 authorities of this server, and in the bundle.')
    .addHelpText('after', example('taint'))
    .addCommand(
      withAdminSocket(new Command('taint'), io)
        .argument('<upstream-id>', 'one that stands above nothing that signs any more')
        .description('Have everything that stands below an upstream authority replaced.')
        .addHelpText('after', example('taint'))
        .action((id: string, options: AdminOptions) =>
          takeUpstream(io, options, { id, done: 'tainted' }, (client) => client.taintUpstream(id)),
        ),
    )
    .addCommand(
      withAdminSocket(new Command('revoke'), io)
        .argument('<upstream-id>', 'a tainted one')
        .description('Take a tainted upstream authority out of the bundle, for good.')
        .addHelpText('after', example('revoke'))
        .action((id: string, options: AdminOptions) =>
          takeUpstream(io, options, { id, done: 'revoked' }, (client) => client.revokeUpstream(id)),
        ),
    );
}

function examples(kind: AuthorityKind): string {
  return `
Examples:
  trustplane authority ${kind} show
  trustplane authority ${kind} prepare
  trustplane authority ${kind} activate 3f0a… --wait 10m
  trustplane authority ${kind} taint 9c41…
  trustplane authority ${kind} revoke 9c41…`;
}

function kindCommand(io: Io, kind: AuthorityKind): Command {
  const title = titles[kind];
  const ends = (verb: string): string => `
Examples:
  trustplane authority ${kind} ${verb}
  trustplane authority ${kind} ${verb} --output json`;
  return new Command(kind)
    .description(`The authorities that sign ${title === 'JWT' ? 'JWT-SVIDs' : 'X509-SVIDs'}.`)
    .addHelpText('after', examples(kind))
    .addCommand(
      withAdminSocket(new Command('show'), io)
        .description('Show the slots: who signs, who is next, who signed before.')
        .addHelpText('after', ends('show'))
        .action((options: AdminOptions) => show(io, kind, options)),
    )
    .addCommand(
      withAdminSocket(new Command('prepare'), io)
        .description(
          'Make the next authority and put it into the bundle; one that is prepared already is replaced.',
        )
        .addHelpText('after', ends('prepare'))
        .action((options: AdminOptions) =>
          take(io, options, 'prepared', (client) => client.prepare(kind)),
        ),
    )
    .addCommand(activateCommand(io, kind))
    .addCommand(
      withAdminSocket(new Command('taint'), io)
        .argument('<authority-id>', 'an old authority')
        .description('Have everything that an old authority signed replaced.')
        .addHelpText('after', ends('taint 9c41…'))
        .action((id: string, options: AdminOptions) =>
          take(io, options, 'tainted', (client) => client.taint(kind, id)),
        ),
    )
    .addCommand(
      withAdminSocket(new Command('revoke'), io)
        .argument('<authority-id>', 'a tainted authority')
        .description('Take a tainted authority out of the bundle and destroy its key.')
        .addHelpText('after', ends('revoke 9c41…'))
        .action((id: string, options: AdminOptions) =>
          take(io, options, 'revoked', (client) => client.revoke(kind, id)),
        ),
    );
}

function activateCommand(io: Io, kind: AuthorityKind): Command {
  return withAdminSocket(new Command('activate'), io)
    .argument('<authority-id>', 'the prepared authority')
    .description('Let the prepared authority sign; refused while not everybody knows it.')
    .addOption(
      new Option('--wait <duration>', 'how long to wait until everybody knows it')
        .argParser(timeoutMs)
        .default(0, '0s'),
    )
    .option('--force', 'at once, whoever does not know it: those refuse what it signs')
    .addHelpText(
      'after',
      `
Examples:
  trustplane authority ${kind} activate 3f0a… --wait 10m
  trustplane authority ${kind} activate 3f0a… --force`,
    )
    .action((id: string, options: ActivateOptions) =>
      take(io, options, 'active', (client) => activate(client, kind, id, options)),
    );
}

/** Asks again while the gate is closed and there is time. */
async function activate(
  client: AuthorityClient,
  kind: AuthorityKind,
  id: string,
  { force = false, wait }: ActivateOptions,
): Promise<AuthorityStateView> {
  const deadline = performance.now() + wait;
  for (;;) {
    try {
      return await client.activate(kind, id, force);
    } catch (error) {
      const isClosed = error instanceof TrustplaneError && error.code === 'ERR_CA_GATE';
      if (!isClosed || performance.now() >= deadline) throw error;
      await setTimeout(ASK_AGAIN_MS);
    }
  }
}

async function show(io: Io, kind: AuthorityKind, options: AdminOptions): Promise<void> {
  await withClient(options, async (client) => {
    const rotation = (await client.rotations()).find((one) => one.kind === kind);
    if (rotation === undefined) throw noRotation(kind);
    print(io, options.output, rotation, formatRotation(rotation));
  });
}

function noRotation(kind: AuthorityKind): TrustplaneError {
  return new TrustplaneError('ERR_REMOTE', `the server has no ${titles[kind]} authorities`);
}

async function take(
  io: Io,
  options: AdminOptions,
  done: string,
  step: (client: AuthorityClient) => Promise<AuthorityStateView>,
): Promise<void> {
  await withClient(options, async (client) => {
    const state = await step(client);
    const text = formatFields([
      ['Authority', state.authorityId],
      ['State', done],
      ['Valid until', state.expiresAt],
    ]);
    print(io, options.output, { ...state, state: done }, text);
  });
}

async function takeUpstream(
  io: Io,
  options: AdminOptions,
  { id, done }: { readonly id: string; readonly done: string },
  step: (client: AuthorityClient) => Promise<void>,
): Promise<void> {
  await withClient(options, async (client) => {
    await step(client);
    const text = formatFields([
      ['Upstream authority', id],
      ['State', done],
    ]);
    print(io, options.output, { upstreamId: id, state: done }, text);
  });
}
