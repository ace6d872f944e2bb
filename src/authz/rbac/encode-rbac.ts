import { encodeInput, writePredicate } from './encode-predicate.ts';
import type { MatchAction, Matcher, MatchInput, MatchList, MatchMap } from './matcher.ts';
import { MessageWriter } from './message-writer.ts';
import type { RbacMessage } from './rbac-message.ts';
import { typeUrls } from './type-urls.ts';

const fields = {
  http: { matcher: 4, shadow: 5, statPrefix: 6, shadowStatPrefix: 3 },
  network: { matcher: 6, shadow: 7, statPrefix: 3, shadowStatPrefix: 5 },
} as const;
const PER_RULE_STATS = 7;
const DENY = 1;

/** The bytes of the message; those of equal messages are the same. */
export function encodeRbac(message: RbacMessage): Uint8Array {
  const out = new MessageWriter();
  writeRbac(out, message);
  return out.finish();
}

/** The bytes of the message in a `TypedExtensionConfig`, as ECDS delivers it. */
export function encodeRbacExtension(name: string, message: RbacMessage): Uint8Array {
  const out = new MessageWriter();
  out.extension(name, typeUrls[message.target], () => writeRbac(out, message));
  return out.finish();
}

/** What is written last stands first: fields go from the greatest number to the least. */
function writeRbac(out: MessageWriter, message: RbacMessage): void {
  const { target, matcher, shadow } = message;
  const field = fields[target];
  const tree = new TreeWriter(out, target);
  if (message.perRuleStats && target === 'http') out.number(PER_RULE_STATS, 1);
  if (shadow !== undefined) {
    out.message(field.shadow, () => tree.root(shadow));
    out.text(field.shadowStatPrefix, message.shadowStatPrefix);
  }
  out.text(field.statPrefix, message.statPrefix);
  out.message(field.matcher, () => tree.root(matcher));
}

class TreeWriter {
  readonly #out: MessageWriter;
  readonly #target: RbacMessage['target'];
  /** A tree has few inputs and names each of them often. */
  readonly #inputs = new Map<string, Uint8Array>();

  constructor(out: MessageWriter, target: RbacMessage['target']) {
    this.#out = out;
    this.#target = target;
  }

  /** Of an action alone, a tree that has nothing but what is otherwise. */
  root(matcher: Matcher): void {
    if (matcher.kind === 'action') this.#out.message(3, () => this.#onMatch(matcher));
    else this.#matcher(matcher);
  }

  /** @throws RangeError for one without entries, which Envoy would refuse */
  #matcher(matcher: MatchList | MatchMap): void {
    const out = this.#out;
    const { otherwise } = matcher;
    if (otherwise !== undefined) out.message(3, () => this.#onMatch(otherwise));
    if (matcher.kind === 'list') out.message(1, () => this.#list(matcher));
    else out.message(2, () => this.#map(matcher));
  }

  #list({ entries }: MatchList): void {
    const out = this.#out;
    if (entries.length === 0) throw new RangeError('a list of a tree has entries');
    for (const { when, then } of entries.toReversed())
      out.message(1, () => {
        out.message(2, () => this.#onMatch(then));
        out.message(1, () => writePredicate(out, when, this.#input));
      });
  }

  #map({ by, entries, input }: MatchMap): void {
    const out = this.#out;
    if (entries.size === 0) throw new RangeError('a map of a tree has entries');
    out.message(by === 'exact' ? 2 : 3, () => {
      for (const [key, matcher] of [...entries].reverse())
        out.message(1, () => {
          out.message(2, () => this.#onMatch(matcher));
          out.text(1, key);
        });
    });
    out.bytes(1, this.#input(input));
  }

  #onMatch(matcher: Matcher): void {
    if (matcher.kind === 'action') this.#out.message(2, () => writeAction(this.#out, matcher));
    else this.#out.message(1, () => this.#matcher(matcher));
  }

  readonly #input = (input: MatchInput): Uint8Array => {
    const key = input.kind === 'header' ? `header ${input.name}` : input.kind;
    const known = this.#inputs.get(key);
    if (known !== undefined) return known;
    const encoded = encodeInput(input, this.#target);
    this.#inputs.set(key, encoded);
    return encoded;
  };
}

function writeAction(out: MessageWriter, { name, action }: MatchAction): void {
  out.extension('action', typeUrls.action, () => {
    if (action === 'DENY') out.number(2, DENY);
    out.text(1, name);
  });
}
