import type { PlanImage } from '../authz/index.ts';

/** Policies that were read, checked and compiled; `structuredClone` and `postMessage` may carry them. */
export interface PolicySet {
  /** Names them: the same for the same policies, whatever their order or place. */
  readonly digest: string;
  readonly image: PlanImage;
  /** How many there are. */
  readonly rules: number;
}

/** Where the policies in force come from: files, or the control plane. */
export interface PolicySource {
  /** The last good set; undefined until there was one. */
  current(): PolicySet | undefined;
  /** Why what is there now is not in force, one complaint on a line; undefined when it is. */
  fault(): string | undefined;
  /** The version of the control plane that `current` is of, by its hash; undefined: it is of none. */
  version?(): string | undefined;
  /** The version of the control plane that `fault` is of. */
  refused?(): string | undefined;
  /** Calls back after each change of `current` or `fault`, until the returned function is called. */
  watch(listener: () => void): () => void;
}

/** The text of a policy, and the name by which complaints call it. */
export interface PolicyText {
  readonly name: string;
  readonly text: string;
}

/** Reads, checks and compiles policies, on a thread of its own. */
export interface PolicyCompiler {
  /**
   * One after the other, in the order of the calls.
   * @throws TrustplaneError ERR_POLICY: the complaints as `name:line:column: message`, one on a line;
   * ERR_INTERNAL when the thread has ended
   */
  compile(sources: PolicySources): Promise<PolicySet>;
  close(): Promise<void>;
}

/** Files by their paths, or texts. */
export type PolicySources =
  | { readonly files: readonly string[] }
  | { readonly texts: readonly PolicyText[] };
