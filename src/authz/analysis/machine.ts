/** Reads a text one character after the other. */
export interface Machine {
  readonly key: string;
  /** The characters it tells apart from all others. */
  readonly chars: string;
  readonly start: bigint;
  readonly next: (state: bigint, char: string) => bigint;
  readonly accepts: (state: bigint) => boolean;
}

/** A text in which `*` is one or more characters; a state is the set of places it may have come to. */
export function globMachine(text: string): Machine {
  const end = 1n << BigInt(text.length);
  return {
    key: text,
    chars: text.replaceAll('*', ''),
    start: 1n,
    next: (state, char) => {
      let after = 0n;
      for (let at = 0, rest = state; rest > 0n && at < text.length; at++, rest >>= 1n) {
        if ((rest & 1n) === 0n) continue;
        const place = 1n << BigInt(at);
        if (text[at] === '*') after |= place | (place << 1n);
        else if (text[at] === char) after |= place << 1n;
      }
      return after;
    },
    accepts: (state) => (state & end) !== 0n,
  };
}

export function isAccepted({ start, next, accepts }: Machine, text: string): boolean {
  let state = start;
  for (let at = 0; at < text.length; at++) state = next(state, text.charAt(at));
  return accepts(state);
}

/** This text and no other. */
export function literalMachine(text: string): Machine {
  const dead = BigInt(text.length + 1);
  return {
    key: `=${text}`,
    chars: text,
    start: 0n,
    next: (state, char) => (state < dead && text[Number(state)] === char ? state + 1n : dead),
    accepts: (state) => state === BigInt(text.length),
  };
}

const GRPC = 'application/grpc';

/** A content type of gRPC, in any case: alone, or before `+`, `;` or a space. */
export const grpcMachine: Machine = {
  key: 'grpc type',
  chars: `${GRPC}${GRPC.toUpperCase()}+; `,
  start: 0n,
  next: (state, char) => {
    const at = Number(state);
    if (at < GRPC.length) return GRPC[at] === char.toLowerCase() ? state + 1n : -1n;
    return at > GRPC.length || '+; '.includes(char) ? BigInt(GRPC.length + 1) : -1n;
  },
  accepts: (state) => state >= BigInt(GRPC.length),
};
