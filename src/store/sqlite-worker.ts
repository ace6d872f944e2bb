/** The thread that owns the database, so that waiting for the disk stops nobody else. */
import { parentPort, workerData } from 'node:worker_threads';
import { movableOf } from './packed-records.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { failedAnswer } from './sqlite-errors.ts';
import { openDatabase } from './sqlite-open.ts';
import type { Batch, SqliteWorkerOptions, WorkerMessage } from './sqlite-protocol.ts';

const { path, trustDomain }: SqliteWorkerOptions = workerData;

try {
  const database = new SqliteDatabase(openDatabase(path, trustDomain), path, trustDomain);
  parentPort?.on('message', (batch: Batch | 'close') => {
    if (batch !== 'close') return perform(database, batch);
    database.close();
    parentPort?.close();
  });
  send({ type: 'open' });
} catch (error) {
  send(failedAnswer(path, error));
}

function perform(database: SqliteDatabase, { writes, reads, now }: Batch): void {
  if (writes.length > 0) send({ type: 'written', answers: database.write(writes, now) });
  if (reads.length === 0) return;
  const answers = reads.map((operation, read) =>
    database.read(operation, (pack) => send({ type: 'packed', read, pack }, movableOf(pack))),
  );
  send({ type: 'read', answers });
}

function send(message: WorkerMessage, moved: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved);
}
