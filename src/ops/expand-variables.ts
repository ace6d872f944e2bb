/** Names of variables and their values, as in `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A text with its variables replaced. */
export interface Expanded {
  readonly text: string;
  /** Of those that were replaced. */
  readonly names: readonly string[];
}

/** A variable that cannot be replaced; `index`: where in the text it begins. */
export class VariableError extends Error {
  readonly index: number;

  constructor(message: string, index: number) {
    super(message);
    this.index = index;
  }
}

const DOLLAR = /\$\$|\$\{[^}]*\}?/gu;
const VARIABLE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}$/u;

/**
 * Replaces `${NAME}` and `${NAME:-default}`, which also stands in for an empty variable; `$$` is a
 * dollar sign, and so is one before anything else than a brace.
 * @throws VariableError for a malformed reference, and for a variable that is not set
 */
export function expandVariables(text: string, env: Environment): Expanded {
  const names: string[] = [];
  const expanded = text.replace(DOLLAR, (reference, index: number) => {
    if (reference === '$$') return '$';
    const [, name, standard] = VARIABLE.exec(reference) ?? [];
    if (name === undefined)
      throw new VariableError(`expected \${NAME} or \${NAME:-default}, got ${reference}`, index);
    names.push(name);
    const value = standard === undefined ? env[name] : env[name] || standard;
    if (value !== undefined) return value;
    throw new VariableError(`the environment variable ${name} is not set`, index);
  });
  return { text: expanded, names };
}
