import path from 'node:path';
import type { Config } from './config.ts';

type Place = Pick<Config, 'dataDir'>;

/** Where the sealed keys of authorities lie. */
export function keyFolder({ dataDir }: Place): string {
  return path.join(dataDir, 'keys');
}

/** Says whose keys they are. */
export function serverIdFile({ dataDir }: Place): string {
  return path.join(dataDir, 'server-id');
}

export function databaseFile({ dataDir }: Place): string {
  return path.join(dataDir, 'trustplane.db');
}

/** Of what must not go back, wherever the store is. */
export function journalFile({ dataDir }: Place): string {
  return path.join(dataDir, 'facts.journal');
}

/** The ledger, and what vouches for its ends: in another folder, and under a key that is not in it either. */
export function auditPlace({ dataDir }: Place): {
  readonly folder: string;
  readonly headFile: string;
  readonly keyFile: string;
} {
  return {
    folder: path.join(dataDir, 'audit'),
    headFile: path.join(dataDir, 'audit.head'),
    keyFile: path.join(dataDir, 'audit.key'),
  };
}

/** What a restore has made ready and is being put in its place. */
export function restoredFolder({ dataDir }: Place): string {
  return path.join(dataDir, 'restored');
}
