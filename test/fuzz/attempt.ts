import { TrustplaneError } from '../../src/spiffe/errors.ts';

/** The result of a parser, or undefined when it refused in the one way it may. */
export function attempt<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof TrustplaneError && error.code !== 'ERR_INTERNAL') return undefined;
    throw error;
  }
}
