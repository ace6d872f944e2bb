import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What an image FROM scratch is built of. */
export interface ImageContext {
  /** The files of the image: absolute path in it → file on this machine. */
  readonly files: ReadonlyMap<string, string>;
  readonly dockerfile: string;
}

/** An image with one binary, `/usr/local/bin/envoy`, and the libraries that `ldd` lists for it. */
export function buildImageContext(binary: string, lddOutput: string): ImageContext {
  const libraries = parseLdd(lddOutput).map((library): [string, string] => [library, library]);
  return {
    files: new Map([['/usr/local/bin/envoy', binary], ...libraries]),
    dockerfile: 'FROM scratch\nCOPY root /\nENTRYPOINT ["/usr/local/bin/envoy"]\n',
  };
}

/** The absolute paths in `name => /path (0x...)` and `/path (0x...)`. Throws when one is missing. */
export function parseLdd(output: string): string[] {
  const missing = output.match(/^\s*(\S+) => not found$/m);
  if (missing !== null) throw new Error(`the library ${missing[1]} is missing`);
  return [...output.matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x[\da-f]+\)$/gm)].flatMap(
    ([, file]) => file ?? [],
  );
}

/** A tag that changes with every byte of the image. */
export function imageTagOf({ files, dockerfile }: ImageContext): string {
  const hash = createHash('sha256').update(dockerfile);
  for (const [name, file] of files) hash.update(`${name}\0`).update(readFileSync(file));
  return `trustplane-envoy:${hash.digest('hex').slice(0, 16)}`;
}

/** Lays the context out in an empty folder, for a docker build. Links become what they point to. */
export function writeImageContext({ files, dockerfile }: ImageContext, folder: string): void {
  writeFileSync(path.join(folder, 'Dockerfile'), dockerfile);
  for (const [name, file] of files) {
    const copy = path.join(folder, 'root', name);
    mkdirSync(path.dirname(copy), { recursive: true });
    copyFileSync(file, copy);
  }
}
