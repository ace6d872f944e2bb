/**
 * Finds an Envoy image for the container engine, or makes one.
 * Usage: obtain-image.ts WAY...   where WAY is `present:IMAGE`, `build:BINARY` or `pull:IMAGE`
 * Prints `{"image":...}` for the first way that works, else `{"reason":...}`. A program of its own
 * so that whoever starts it can bound its time: testcontainers does not bound the engine's.
 */
import { ImageName } from 'testcontainers';
import { createRunFolder } from '../run-folder.ts';
import { runProgram } from '../run-program.ts';
import { connectEngine, type Engine, removeLeftovers } from './engine.ts';
import { buildImageContext, imageTagOf, writeImageContext } from './image-context.ts';

process.stdout.write(`${JSON.stringify(await obtain(process.argv.slice(2)))}\n`);
process.exit();

async function obtain(ways: readonly string[]): Promise<{ image: string } | { reason: string }> {
  const engine = await connectEngine().catch(() => undefined);
  if (engine === undefined) return { reason: 'not running, or not for this user' };
  await removeLeftovers(engine);
  const reasons: string[] = [];
  for (const way of ways) {
    const subject = way.slice(way.indexOf(':') + 1);
    try {
      const image = await take(engine, way, subject);
      if (image !== undefined) return { image };
    } catch (error) {
      reasons.push(`${subject}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { reason: reasons.join('; ') };
}

async function take(engine: Engine, way: string, subject: string): Promise<string | undefined> {
  if (way.startsWith('build:')) return await build(engine, subject);
  const image = ImageName.fromString(subject);
  if (way.startsWith('pull:')) await engine.client.image.pull(image);
  if (await engine.client.image.exists(image)) return subject;
  if (way.startsWith('present:')) return undefined;
  throw new Error('the engine could not pull it');
}

/** Kept for the next time under a tag that says what is in it. */
async function build({ client }: Engine, binary: string): Promise<string> {
  const ldd = await runProgram('ldd', [binary]);
  if (ldd.code !== 0) throw new Error(`ldd says ${ldd.stdout}${ldd.stderr}`.trim());
  const context = buildImageContext(binary, ldd.stdout);
  const tag = imageTagOf(context);
  if (await client.image.exists(ImageName.fromString(tag))) return tag;
  const folder = createRunFolder();
  writeImageContext(context, folder.path);
  await client.image.build(folder.path, { t: tag });
  await folder.remove();
  if (await client.image.exists(ImageName.fromString(tag))) return tag;
  throw new Error('the engine could not build an image of it');
}
