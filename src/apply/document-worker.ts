/** A thread that reads documents, which takes most of the time of a large apply. */
import { parentPort } from 'node:worker_threads';
import { readPart } from './read-part.ts';
import type { DocumentPart } from './split-documents.ts';

parentPort?.on('message', (parts: readonly DocumentPart[]) => {
  parentPort?.postMessage(parts.map(readPart), []);
});
