/**
 * Puts generated text between `<!-- name -->` and `<!-- end of name -->` of a document.
 * Throws when the marks are not there.
 */
export function replaceMarked(document: string, name: string, text: string): string {
  const [open, close] = [`<!-- ${name} -->\n`, `<!-- end of ${name} -->\n`];
  const begin = document.indexOf(open);
  const end = document.indexOf(close);
  if (begin < 0 || end < begin) throw new Error(`the marks ${open}${close} are missing`);
  return `${document.slice(0, begin + open.length)}${text}${document.slice(end)}`;
}
