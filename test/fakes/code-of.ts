import { type ErrorCode, TrustplaneError } from '../../src/spiffe/index.ts';

/** The code that something fails with; undefined when it does not. @throws whatever has no code */
export async function codeOf(work: () => Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}
