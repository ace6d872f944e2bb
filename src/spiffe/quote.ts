/** Outside text as JSON, cut to a length that is fit for a message. */
export function quote(text: string, maxCharacters: number = 80): string {
  return JSON.stringify(text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text);
}
