/** Shell commands that a document shows and that must work. */
export interface RunnableBlock {
  readonly file: string;
  /** Where the block begins, from 1. */
  readonly line: number;
  readonly commands: string;
}

/** The blocks of a Markdown document that are fenced as `sh run`. */
export function findRunnableBlocks(file: string, markdown: string): RunnableBlock[] {
  return findBlocks(markdown, 'run').map((block) => ({ file, ...block }));
}

/**
 * The flags of the one `npx trustplane up` that a document fences as `sh up`; undefined without such
 * a block. Throws when it is no such command or there are several.
 */
export function findUpFlags(file: string, markdown: string): readonly string[] | undefined {
  const blocks = findBlocks(markdown, 'up');
  if (blocks.length === 0) return undefined;
  const flags = blocks[0]?.commands.match(/^npx trustplane up((?: [\w./-]+)*)\n$/u)?.[1];
  if (blocks.length > 1 || flags === undefined)
    throw new Error(`${file}: expected one block \`sh up\` with one line "npx trustplane up ..."`);
  return flags.split(' ').filter((flag) => flag !== '');
}

/** One script that runs the blocks in order, in one shell as a reader would, and says where it is. */
export function joinBlocks(blocks: readonly RunnableBlock[]): string {
  const parts = blocks.map(({ commands }, index) => `echo "${MARK}${index}"\n${commands}`);
  return `${END_JOBS}\n${parts.join('')}echo "${MARK}${blocks.length}"\n`;
}

/** How many blocks had begun, and so how many were done, by what the script printed. */
export function countDone(output: string): number {
  const begun = [...output.matchAll(new RegExp(`^${MARK}(\\d+)$`, 'gmu'))];
  return Number(begun.at(-1)?.[1] ?? 0);
}

const MARK = '== block ';
/** Jobs that a document leaves running end with it. */
const END_JOBS = `trap 'jobs=$(jobs -p); [ -z "$jobs" ] || { kill $jobs; wait; } 2>/dev/null' EXIT`;

function findBlocks(markdown: string, kind: string): { line: number; commands: string }[] {
  const fence = new RegExp(`^\`\`\`sh ${kind}\\n([^]*?)^\`\`\`$`, 'gmu');
  return [...markdown.matchAll(fence)].map((match) => ({
    line: markdown.slice(0, match.index).split('\n').length,
    commands: match[1] ?? '',
  }));
}
