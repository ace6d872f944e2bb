import { availableParallelism } from 'node:os';
import { DocumentJudge, type Documents } from './document-judge.ts';
import type { DraftRules } from './entry-faults.ts';
import { type ReadPart, readPart } from './read-part.ts';
import { ReadingThreads } from './reading-threads.ts';
import { type DocumentPart, type DocumentText, splitDocuments } from './split-documents.ts';

/** Of what threads are given at once. */
const batchLimits = { documents: 250, chars: 262_144 } as const;
/** Batches before which no thread is worth its start. */
const ALONE = 2;
const MAX_THREADS = 4;
/** Batches that wait for each thread. */
const AHEAD = 3;

interface Batch {
  readonly parts: readonly DocumentPart[];
  readonly read: Promise<readonly ReadPart[]>;
}

/** As `parseDocuments`, while the texts come; many are read in threads. @throws what `texts` does */
export async function readAllDocuments(
  texts: AsyncIterable<DocumentText>,
  rules: DraftRules,
): Promise<Documents> {
  const judge = new DocumentJudge(rules);
  const reading = new Reading(judge);
  try {
    for await (const parts of batchesOf(texts)) await reading.add(parts);
    await reading.finish();
    return judge.documents;
  } finally {
    await reading.close();
  }
}

class Reading {
  readonly #judge: DocumentJudge;
  readonly #batches: Batch[] = [];
  #count = 0;
  #threads: ReadingThreads | undefined;
  readonly #threadCount: number = Math.min(availableParallelism(), MAX_THREADS);

  constructor(judge: DocumentJudge) {
    this.#judge = judge;
  }

  /** Resolves when there is room for more. */
  async add(parts: readonly DocumentPart[]): Promise<void> {
    if (this.#count++ < ALONE) {
      for (const part of parts) this.#judge.take(part, readPart(part));
      return;
    }
    this.#threads ??= new ReadingThreads(this.#threadCount);
    const read = this.#threads.read(parts);
    // It is looked at in its turn.
    read.catch(() => {});
    this.#batches.push({ parts, read });
    if (this.#batches.length > this.#threadCount * AHEAD) await this.#takeFirst();
  }

  async finish(): Promise<void> {
    while (this.#batches.length > 0) await this.#takeFirst();
  }

  async close(): Promise<void> {
    await this.#threads?.close();
  }

  async #takeFirst(): Promise<void> {
    const batch = this.#batches.shift();
    if (batch === undefined) return;
    const read = await batch.read;
    for (const [index, part] of batch.parts.entries()) {
      const one = read[index];
      if (one !== undefined) this.#judge.take(part, one);
    }
  }
}

async function* batchesOf(texts: AsyncIterable<DocumentText>): AsyncGenerator<DocumentPart[]> {
  let [parts, chars]: [DocumentPart[], number] = [[], 0];
  for await (const text of texts) {
    for (const part of splitDocuments(text)) {
      parts.push(part);
      chars += part.text.length;
      if (parts.length < batchLimits.documents && chars < batchLimits.chars) continue;
      yield parts;
      [parts, chars] = [[], 0];
    }
  }
  yield parts;
}
