import type { IpRange } from '../ip-range.ts';
import { formatAddress } from './format-address.ts';
import type { MatchInput, Predicate, ValueMatch } from './matcher.ts';
import { MessageWriter } from './message-writer.ts';
import { inputType, type RbacTarget, typeUrls } from './type-urls.ts';

/** The bytes of a `TypedExtensionConfig` of what is looked at. */
type EncodedInput = (input: MatchInput) => Uint8Array;
type TextMatch = Exclude<ValueMatch, { kind: 'ip' }>;
type Claim = Extract<Predicate, { kind: 'claim' }>;

/** Writes a `Matcher.MatcherList.Predicate`. @throws RangeError for a list of none */
export function writePredicate(
  out: MessageWriter,
  predicate: Predicate,
  encoded: EncodedInput,
): void {
  switch (predicate.kind) {
    case 'and':
    case 'or':
      writeSeveral(out, predicate.kind, predicate.all, encoded);
      break;
    case 'not':
      out.message(4, () => writePredicate(out, predicate.of, encoded));
      break;
    default:
      out.message(1, () => writeSingle(out, predicate, encoded));
  }
}

/** Envoy takes lists of two and more alone. */
function writeSeveral(
  out: MessageWriter,
  kind: 'and' | 'or',
  all: readonly Predicate[],
  encoded: EncodedInput,
): void {
  const [first, ...others] = all;
  if (first === undefined) throw new RangeError('a list of conditions has members');
  if (others.length === 0) writePredicate(out, first, encoded);
  else
    out.message(kind === 'or' ? 2 : 3, () => {
      for (const one of all.toReversed()) out.message(1, () => writePredicate(out, one, encoded));
    });
}

function writeSingle(
  out: MessageWriter,
  predicate: Exclude<Predicate, { kind: 'and' | 'or' | 'not' }>,
  encoded: EncodedInput,
): void {
  if (predicate.kind === 'claim') writeClaim(out, predicate);
  else if (predicate.kind === 'no-client-certificate') out.raw(noClientCertificate);
  else {
    const { input, match } = predicate;
    if (match.kind === 'ip') out.message(3, () => writeRanges(out, match.ranges));
    else out.message(2, () => writeText(out, match, true));
    out.bytes(1, encoded(input));
  }
}

/** Only the `StringMatcher` of xds.type.matcher.v3 wants to be told which engine it is; that of envoy.type.matcher.v3 is else the same. */
function writeText(out: MessageWriter, match: TextMatch, isXds: boolean): void {
  switch (match.kind) {
    case 'exact':
      if (match.ignoreCase === true) out.number(6, 1);
      out.text(1, match.text);
      break;
    case 'prefix':
      out.text(2, match.text);
      break;
    default:
      out.message(5, () => {
        out.text(2, match.regex);
        if (isXds) out.message(1, () => undefined);
      });
  }
}

function writeRanges(out: MessageWriter, ranges: readonly IpRange[]): void {
  out.extension('ip', typeUrls.ip, () => {
    out.text(2, 'tp');
    for (const { bytes, bits } of ranges.toReversed())
      out.message(1, () => {
        out.message(2, () => out.number(1, bits));
        out.text(1, formatAddress(bytes));
      });
  });
}

/** @throws RangeError for addresses, which Envoy does not look for in claims */
function writeClaim(out: MessageWriter, { namespace, path, match, isContained }: Claim): void {
  if (match.kind === 'ip') throw new RangeError('a claim is no address');
  const value = (): void => out.message(3, () => writeText(out, match, false));
  out.message(3, () =>
    out.extension('metadata', typeUrls.metadata, () =>
      out.message(1, isContained ? () => out.message(6, () => out.message(1, value)) : value),
    ),
  );
  out.message(1, () =>
    out.extension('claim', typeUrls.dynamicMetadata, () => {
      for (const key of path.toReversed()) out.message(2, () => out.text(1, key));
      out.text(1, namespace);
    }),
  );
}

export function encodeInput(input: MatchInput, target: RbacTarget): Uint8Array {
  const out = new MessageWriter();
  const { typeUrl, field } = inputType(input, target);
  out.extension(input.kind, typeUrl, () => {
    if (field !== undefined) out.text(1, field.text);
  });
  return out.finish();
}

/** A `SinglePredicate` of the CEL expression `connection.mtls == false`, parsed. */
const noClientCertificate = encodeNoClientCertificate();

function encodeNoClientCertificate(): Uint8Array {
  const out = new MessageWriter();
  const expression = (write: () => void): void => out.message(3, write);
  out.message(3, () =>
    out.extension('cel', typeUrls.cel, () =>
      out.message(1, () => expression(() => out.message(2, () => writeComparison(out)))),
    ),
  );
  out.message(1, () => out.extension('attributes', typeUrls.attributes, () => undefined));
  return out.finish();
}

function writeComparison(out: MessageWriter): void {
  out.message(6, () => {
    out.message(3, () => out.message(3, () => out.number(2, 0)));
    out.message(3, () =>
      out.message(5, () => {
        out.text(2, 'mtls');
        out.message(1, () => out.message(4, () => out.text(1, 'connection')));
      }),
    );
    out.text(2, '_==_');
  });
}
