import { TrustplaneError } from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';

/** Takes backups over the admin socket. */
export interface BackupClient {
  /** The chunks of a backup; with a passphrase, of one that has the private keys. Rejects with a TrustplaneError. */
  createBackup(passphrase: Uint8Array | undefined): AsyncIterable<Uint8Array>;
  close(): void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createBackupClient(socket: string): BackupClient {
  const { stream, close } = dialAdmin(socket);
  return {
    async *createBackup(passphrase) {
      const request = { passphrase: passphrase ?? new Uint8Array() };
      for await (const { data } of stream<{ data?: Uint8Array }>(
        'Backup',
        'CreateBackup',
        request,
      )) {
        if (data === undefined) throw new TrustplaneError('ERR_REMOTE', 'an empty chunk');
        yield data;
      }
    },
    close,
  };
}
