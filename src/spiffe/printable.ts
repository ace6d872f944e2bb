/** Outside text for a log line or a terminal, cut to so many characters, with control characters escaped. */
export function printable(text: string, maxCharacters: number = Number.POSITIVE_INFINITY): string {
  const cut = text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text;
  return cut.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
