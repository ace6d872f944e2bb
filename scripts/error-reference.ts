import { status as grpc } from '@grpc/grpc-js';
import { type ErrorCode, errorCodes, TrustplaneError } from '../src/spiffe/index.ts';
import { statusOf } from '../src/wire/index.ts';

/** Every code below the comment that groups it in `source`, the text of src/spiffe/errors.ts. */
export function formatErrors(source: string): string {
  const groups = groupCodes(source);
  const listed = groups.flatMap(({ codes }) => codes);
  const missing = Object.keys(errorCodes).filter((code) => !listed.some((one) => one === code));
  if (missing.length > 0) throw new Error(`not found in the source: ${missing.join(', ')}`);
  return groups
    .filter(({ codes }) => codes.length > 0)
    .map(({ title, codes }) => [`## ${title}`, '', ...HEAD, ...codes.map(formatRow), ''].join('\n'))
    .join('\n');
}

const HEAD = ['| code | category | gRPC status | exit | meaning |', '|---|---|---|---|---|'];

function formatRow(code: ErrorCode): string {
  const error = new TrustplaneError(code, '');
  const { grpc: number, exit } = statusOf(error);
  return `| \`${code}\` | ${error.category} | \`${grpc[number]}\` | ${exit} | ${errorCodes[code][1]} |`;
}

interface CodeGroup {
  readonly title: string;
  readonly codes: readonly ErrorCode[];
}

function groupCodes(source: string): CodeGroup[] {
  return source
    .split(/^ {2}\/\/ /mu)
    .slice(1)
    .map((part) => ({
      title: part.slice(0, part.indexOf('\n')),
      codes: [...part.matchAll(/^ {2}(ERR_\w+):/gmu)].map((match) => match[1]).filter(isCode),
    }));
}

function isCode(text: string | undefined): text is ErrorCode {
  return text !== undefined && text in errorCodes;
}
