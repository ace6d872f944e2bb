/** Shell commands that a document shows and that must work. */
export interface RunnableBlock {
  readonly file: string;
  /** Where the block begins, from 1. */
  readonly line: number;
  readonly commands: string;
}

/** The blocks of a Markdown document that are fenced as `sh run`. */
export function findRunnableBlocks(file: string, markdown: string): RunnableBlock[] {
  return [...markdown.matchAll(/^```sh run\n([^]*?)^```$/gm)].map((match) => ({
    file,
    line: markdown.slice(0, match.index).split('\n').length,
    commands: match[1] ?? '',
  }));
}
