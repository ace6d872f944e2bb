const LABEL = /^[a-z0-9*](?:[a-z0-9*-]{0,61}[a-z0-9*])?$/u;
const MAX_CHARACTERS = 253;
const MAX_STARS = 2;

const isNoLabel = (label: string): boolean =>
  !LABEL.test(label) || label.includes('**') || label.split('*').length > MAX_STARS + 1;

/**
 * Parses a pattern of host names, such as `node-*.prod.example`: in a label `*` stands for any
 * characters of it, none included, at most two in each; `**.` at the beginning for one label or more.
 * The whole name has to match.
 * @throws Error
 */
export function parseDnsPattern(pattern: string): (hostname: string) => boolean {
  const isDeep = pattern.startsWith('**.');
  const labels = (isDeep ? pattern.slice(3) : pattern).split('.');
  const wrong = labels.find(isNoLabel);
  if (pattern.length > MAX_CHARACTERS || wrong !== undefined) {
    throw new Error(
      `expected a pattern of host names such as node-*.prod.example, in lower case, got ${JSON.stringify(pattern)}`,
    );
  }
  const tests = labels.map((label) => new RegExp(`^${label.replaceAll('*', '[a-z0-9-]*')}$`, 'u'));
  return (hostname) => {
    const names = hostname.split('.');
    const above = names.length - labels.length;
    if (isDeep ? above < 1 : above !== 0) return false;
    return tests.every((test, at) => test.test(names[above + at] ?? ''));
  };
}
