import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.join(import.meta.dirname, '..');
const documents = globSync(['*.md', '{docs,envoy,examples}/**/*.md'], { cwd: root });
const sources = globSync('{src,test,scripts,bench,examples}/**/*.ts', { cwd: root });

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
/** Without what is shown as code. */
const prose = (markdown: string) => markdown.replace(/^```[^]*?^```$/gmu, '');

/** The anchors of headings, as GitHub makes them. */
function anchorsOf(markdown: string): string[] {
  return [...prose(markdown).matchAll(/^#+ (.+)$/gmu)].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replace(/[^\w\- ]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(documents)('%s', (document) => {
  it('links to what exists', () => {
    const links = [...prose(read(document)).matchAll(/\]\(([^)\s]+)\)/gu)].map(
      (match) => match[1] ?? '',
    );
    const broken = links.filter((link) => {
      if (/^https?:/u.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file === '' ? document : path.join(path.dirname(document), file);
      if (!existsSync(path.join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(read(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  it('names source files that exist', () => {
    const named = [...prose(read(document)).matchAll(/`([\w./-]+\.ts)`/gu)].map(
      (match) => match[1] ?? '',
    );
    const missing = named.filter(
      (name) => !sources.some((file) => file === name || file.endsWith(`/${name}`)),
    );
    expect(missing).toEqual([]);
  });
});
