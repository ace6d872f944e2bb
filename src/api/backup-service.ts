import type { ServerWritableStream } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { writePaced } from './write-paced.ts';

interface CreateBackupRequest {
  readonly passphrase?: Uint8Array;
}

interface BackupChunk {
  readonly data: Uint8Array;
}

type BackupCall = ServerWritableStream<CreateBackupRequest, BackupChunk>;
type CreateBackup = (passphrase: Uint8Array | undefined) => AsyncIterable<Uint8Array>;

/** As in the configuration of the server's own keys. */
const PASSPHRASE_BYTES = { least: 12, most: 1_024 } as const;

/**
 * trustplane.admin.v1.Backup
 * @param create the chunks of a backup, with private keys when there is a passphrase
 */
export function createBackupService(create: CreateBackup): GrpcService {
  return {
    definition: loadService('trustplane/admin/v1/backup.proto', 'trustplane.admin.v1.Backup'),
    implementation: {
      CreateBackup: (call: BackupCall): unknown => send(call, create),
    },
  };
}

async function send(call: BackupCall, create: CreateBackup): Promise<void> {
  for await (const data of create(parsePassphrase(call.request.passphrase))) {
    if (call.cancelled) return;
    await writePaced(call, { data });
  }
  call.end();
}

function parsePassphrase(bytes: Uint8Array | undefined): Uint8Array | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined;
  const { least, most } = PASSPHRASE_BYTES;
  if (bytes.length >= least && bytes.length <= most) return bytes;
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `passphrase: expected ${least} to ${most} bytes; got ${bytes.length}`,
  );
}
