import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import {
  broken,
  type PolicyHead,
  type PolicyRecords,
  type StoredVersion,
} from './policy-records.ts';
import { type Chain, walkChain } from './verify-chain.ts';

/** The versions of policies that are kept, read from the store each time. */
export class PolicyHistory {
  readonly #records: PolicyRecords;

  constructor(records: PolicyRecords) {
    this.#records = records;
  }

  /** The oldest first, and what is wrong with them. @throws TrustplaneError ERR_STORE_* */
  async list(): Promise<Chain> {
    try {
      const head = await this.#records.head();
      return head === undefined ? { versions: [], faults: [] } : await this.leadingTo(head);
    } catch (error) {
      if (!isBroken(error)) throw error;
      return { versions: [], faults: [messageOf(error)] };
    }
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async leadingTo(head: PolicyHead): Promise<Chain> {
    return walkChain(head, await this.#records.versions());
  }

  /** As `list`, with a look at the files of each. @throws TrustplaneError ERR_STORE_* */
  async verify(): Promise<Chain> {
    const { versions, faults } = await this.list();
    const all = [...faults];
    for (const version of versions) {
      try {
        await this.#records.texts(version);
      } catch (error) {
        if (!isBroken(error)) throw error;
        all.push(messageOf(error));
      }
    }
    return { versions, faults: all };
  }

  /** @throws TrustplaneError ERR_POLICY_VERSION, ERR_POLICY_CHAIN, ERR_STORE_* */
  async require(version: number): Promise<StoredVersion> {
    const { versions, faults } = await this.list();
    const found = versions.find((one) => one.version === version);
    if (found !== undefined) return found;
    if (faults[0] !== undefined) throw broken(faults[0]);
    const [first] = versions;
    const kept = first === undefined ? 'none' : `${first.version} to ${versions.at(-1)?.version}`;
    throw new TrustplaneError(
      'ERR_POLICY_VERSION',
      `version ${version} of the policies is not kept; there are ${kept}`,
    );
  }
}

/** What the store has is not what it was. */
export function isBroken(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_POLICY_CHAIN';
}
