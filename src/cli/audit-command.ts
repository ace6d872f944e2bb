import { Command, Option } from 'commander';
import type { StoredAudit } from '../app/stored-audit.ts';
import {
  auditEventKinds,
  type LedgerVerification,
  SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import { formatAuditLine } from './audit-text.ts';
import { Finished, type Io, print } from './io.ts';
import { type AdminOptions, count, instantSeconds, parsed, withAdminSocket } from './options.ts';
import { formatFields } from './table.ts';
import { clientOf } from './with-client.ts';

const withClient = clientOf(({ createAuditClient }) => createAuditClient);

const DAMAGED = 12;
const USUAL_LIMIT = 50;

interface PlaceOptions extends AdminOptions {
  readonly dataDir?: string;
  readonly dir?: string;
  readonly fromFile?: string;
}

interface SpanOptions extends PlaceOptions {
  /** Unix seconds. */
  readonly since?: number;
  readonly until?: number;
}

interface ShowOptions extends SpanOptions {
  readonly spiffeId?: string;
  readonly serial?: string;
  readonly kind?: (typeof auditEventKinds)[number];
  readonly agent?: string;
  readonly limit: number;
  readonly follow?: boolean;
}

export function auditCommand(io: Io): Command {
  return new Command('audit')
    .description('Show, verify and export the audit ledger: what was issued, attested and changed.')
    .addCommand(showCommand(io))
    .addCommand(verifyCommand(io))
    .addCommand(exportCommand(io))
    .addHelpText(
      'after',
      `
Examples:
  trustplane audit show --kind admin
  trustplane audit verify
  trustplane audit export > audit.jsonl`,
    );
}

function showCommand(io: Io): Command {
  return withPlace(withSpan(withAdminSocket(new Command('show'), io)))
    .description('Print records of the ledger of this server, the oldest first.')
    .option('--spiffe-id <id>', 'of what was issued, or of who asked', spiffeIdText)
    .option('--serial <hex>', 'serial number of a certificate')
    .addOption(new Option('--kind <kind>', 'of this kind alone').choices(auditEventKinds))
    .option('--agent <id>', 'the agent that asked, or was attested', spiffeIdText)
    .option('--limit <number>', 'the last of them alone; 0 for all', count(0), USUAL_LIMIT)
    .addOption(new Option('--follow', 'and then what comes, until interrupted').conflicts('until'))
    .addHelpText(
      'after',
      `
Examples:
  trustplane audit show --kind admin
  trustplane audit show --serial 019b76daa8003ea14b78a1c326ba5e2b
  trustplane audit show --spiffe-id spiffe://example.org/web --since 2027-01-31T12:00:00Z --limit 0
  trustplane audit show --follow --output json | jq .event

As JSON each record is one line.`,
    )
    .action((options: ShowOptions) => show(io, options));
}

function verifyCommand(io: Io): Command {
  return withPlace(withAdminSocket(new Command('verify'), io))
    .description('Check every line of the ledger, and both its ends.')
    .addHelpText(
      'after',
      `
Examples:
  trustplane audit verify
  trustplane audit verify --data-dir /var/lib/trustplane     while no server runs
  trustplane audit verify --from-file exported.jsonl

Exit code 12 when something is not as it was written; each finding has its file and line.`,
    )
    .action((options: PlaceOptions) => verify(io, options));
}

function exportCommand(io: Io): Command {
  return withPlace(withSpan(withAdminSocket(new Command('export'), io)))
    .description(
      'Print the lines of the ledger as they are, so that they can be verified elsewhere.',
    )
    .addHelpText(
      'after',
      `
Examples:
  trustplane audit export > audit.jsonl
  trustplane audit export --since 2027-01-31T00:00:00Z --until 2027-02-01T00:00:00Z > day.jsonl
  trustplane audit verify --from-file day.jsonl`,
    )
    .action((options: SpanOptions) => exportLines(io, options));
}

function withPlace(command: Command): Command {
  const others = ['dataDir', 'dir', 'fromFile'] as const;
  const place = (flags: string, description: string, own: (typeof others)[number]): Option =>
    new Option(flags, description).conflicts(others.filter((name) => name !== own));
  return command
    .addOption(place('--data-dir <directory>', 'of a server that is not running', 'dataDir'))
    .addOption(place('--dir <directory>', 'copied files of a ledger', 'dir'))
    .addOption(place('--from-file <file>', 'exported lines', 'fromFile'));
}

function withSpan(command: Command): Command {
  return command
    .option('--since <instant>', 'written from then on, RFC 3339 or Unix seconds', instantSeconds)
    .option('--until <instant>', 'written before then', instantSeconds);
}

function placeOf({ dataDir, dir, fromFile }: PlaceOptions): StoredAudit | undefined {
  if (dataDir !== undefined) return { dataDir };
  if (dir !== undefined) return { folder: dir };
  return fromFile === undefined ? undefined : { file: fromFile };
}

/** @throws TrustplaneError ERR_USAGE */
function spanOf({ since, until }: SpanOptions): { since?: number; until?: number } {
  if (since !== undefined && until !== undefined && since >= until)
    throw new TrustplaneError('ERR_USAGE', '--since: expected an instant before --until');
  return {
    ...(since !== undefined && { since: since * 1_000 }),
    ...(until !== undefined && { until: until * 1_000 }),
  };
}

async function show(io: Io, options: ShowOptions): Promise<void> {
  const { serial, kind, spiffeId, agent, limit, follow = false, output } = options;
  const filter = {
    ...spanOf(options),
    ...(serial !== undefined && { serialNumber: serialOf(serial) }),
    ...(kind !== undefined && { kind }),
    ...(spiffeId !== undefined && { spiffeId }),
    ...(agent !== undefined && { agentId: agent }),
  };
  const { parseAuditLine, readStoredAudit } = await import('../app/stored-audit.ts');
  let said = 0;
  const say = (line: { readonly text: string; readonly file: string; readonly line: number }) => {
    said += 1;
    io.out(`${formatAuditLine(line, parseAuditLine(line.text), output)}\n`);
  };
  /** Nothing on standard output is no answer to a person. */
  const tellNone = () => {
    if (said === 0) io.err('no record of the ledger is like that\n');
  };
  const place = placeOf(options);
  if (place === undefined) {
    await withClient(options, async (client) => {
      for await (const line of client.show({ ...filter, limit, follow })) say(line);
    });
    return tellNone();
  }
  if (follow) throw new TrustplaneError('ERR_USAGE', '--follow needs a server that runs');
  let last: Parameters<typeof say>[0][] = [];
  for await (const record of readStoredAudit(place, filter)) {
    last.push(record);
    if (limit === 0) last.splice(0).forEach(say);
    else if (last.length >= 2 * limit) last = last.slice(-limit);
  }
  last.slice(-limit).forEach(say);
  tellNone();
}

async function verify(io: Io, options: PlaceOptions): Promise<void> {
  const place = placeOf(options);
  let found: LedgerVerification | undefined;
  if (place === undefined) {
    await withClient(options, async (client) => {
      found = await client.verify();
    });
  } else {
    const { verifyStoredAudit } = await import('../app/stored-audit.ts');
    found = await verifyStoredAudit(place);
  }
  if (found === undefined) return;
  const { findings } = found;
  print(io, options.output, { good: findings.length === 0, ...found }, formatVerification(found));
  if (findings.length > 0) throw new Finished(DAMAGED);
}

async function exportLines(io: Io, options: SpanOptions): Promise<void> {
  const place = placeOf(options);
  if (place === undefined) {
    return await withClient(options, async (client) => {
      const decoder = new TextDecoder();
      for await (const chunk of client.export(spanOf(options)))
        io.out(decoder.decode(chunk, { stream: true }));
    });
  }
  const { readStoredAudit } = await import('../app/stored-audit.ts');
  for await (const { text } of readStoredAudit(place, spanOf(options))) io.out(`${text}\n`);
}

function formatVerification(found: LedgerVerification): string {
  const { findings, files, records, bytes, first, last, isAnchored } = found;
  const at = (end: typeof first): string =>
    end === undefined ? '' : `${end.sequenceNumber}, ${new Date(end.at).toISOString()}`;
  const summary = formatFields([
    ['Ledger', findings.length === 0 ? 'as it was written' : 'NOT as it was written'],
    ['Records', `${records} in ${files} files, ${bytes} bytes`],
    ['First', at(first)],
    ['Last', at(last)],
    ['Last hash', last?.hash ?? ''],
    ['Ends', isAnchored ? 'compared with the head record' : 'not compared: no head record'],
  ]);
  const lines = findings.map(({ file, line, what }) => {
    const where = line === 0 ? file : `${file}:${line}`;
    return where === '' ? what : `${where}: ${what}`;
  });
  return [summary, ...lines].join('\n');
}

function spiffeIdText(text: string): string {
  return parsed(() => SpiffeId.parse(text)).toString();
}

/** @throws TrustplaneError ERR_USAGE */
function serialOf(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{1,40}$/u.test(hex)) return hex;
  throw new TrustplaneError('ERR_USAGE', `--serial: expected hex digits; got ${text.slice(0, 64)}`);
}
