import { TrustplaneError } from './errors.ts';
import { quote } from './quote.ts';

const MAX_VALUES = 32;
/** Together; so that every token that is issued is one that is read. */
const MAX_BYTES = 4096;
const CONTROL = /[\p{Cc}\p{Cs}]/u;

/**
 * The audience that a JWT-SVID is asked for, without repetitions: 1 to 32 values, none empty, of at
 * most 4096 bytes together, without control characters.
 * @throws TrustplaneError ERR_JWT_AUDIENCE_LIST
 */
export function parseAudience(values: readonly string[]): readonly string[] {
  if (values.length === 0) throw refused('expected at least one value; got none');
  if (values.length > MAX_VALUES) {
    throw refused(`expected at most ${MAX_VALUES} values; got ${values.length}`);
  }
  const bytes = values.reduce((sum, value) => sum + Buffer.byteLength(value), 0);
  if (bytes > MAX_BYTES) throw refused(`expected at most ${MAX_BYTES} bytes; got ${bytes}`);
  const malformed = values.find((value) => value === '' || CONTROL.test(value));
  if (malformed === undefined) return values.length === 1 ? values : [...new Set(values)];
  throw refused(`expected no empty value and no control character; got ${quote(malformed)}`);
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_JWT_AUDIENCE_LIST', `the audience of a JWT-SVID: ${why}`);
}
