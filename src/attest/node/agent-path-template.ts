import { messageOf, SpiffeId, type TrustDomain, TrustplaneError } from '../../spiffe/index.ts';

/** Renders the path of an agent's SPIFFE ID. @throws TrustplaneError ERR_NODE_ATTEST_PATH */
export type AgentPathTemplate = (valueOf: (name: string) => string | undefined) => string;

interface TemplateOptions {
  /** The attestor, whose name is the first segment: attestors never share agents. */
  readonly attestor: string;
  readonly trustDomain: TrustDomain;
  /** Whether a template may use the variable of this name, without leading dot. */
  readonly isVariable: (name: string) => boolean;
}

const MAX_LENGTH = 512;
const HOLE = /\{\{ *\.?([A-Za-z0-9._-]+) *\}\}/u;
const ATTESTOR = /\{\{ *\.?PluginName *\}\}/gu;
const LITERAL = /^[A-Za-z0-9._/-]*$/u;
const SEGMENT = /^[A-Za-z0-9._-]+$/u;

/**
 * Parses a template such as `/x509pop/{{ .Fingerprint }}`: text, and variables that a value takes the
 * place of. There are no functions. It begins with the attestor's name and has at least one variable;
 * the value of a variable never holds a `/`.
 * @throws TrustplaneError ERR_NODE_ATTEST_TEMPLATE
 */
export function parseAgentPathTemplate(text: string, options: TemplateOptions): AgentPathTemplate {
  const { attestor, trustDomain, isVariable } = options;
  if (text.length > MAX_LENGTH) throw malformed(text, `has over ${MAX_LENGTH} characters`);
  // Texts and names alternate, beginning with a text.
  const parts = text.replace(ATTESTOR, attestor).split(HOLE);
  const literals = parts.filter((_, at) => at % 2 === 0);
  const names = parts.filter((_, at) => at % 2 === 1);
  const wrong = literals.find((literal) => !LITERAL.test(literal));
  if (wrong !== undefined) throw malformed(text, `has ${JSON.stringify(wrong)} between variables`);
  const unknown = names.find((name) => !isVariable(name));
  if (unknown !== undefined) throw malformed(text, `has the unknown variable ${unknown}`);
  if (names.length === 0) throw malformed(text, 'has no variable: all agents would be one');
  if (parts[0]?.startsWith(`/${attestor}/`) !== true)
    throw malformed(text, `must begin with /${attestor}/`);
  const join = (valueOf: (name: string) => string): string =>
    `/spire/agent${parts.map((part, at) => (at % 2 === 0 ? part : valueOf(part))).join('')}`;
  try {
    SpiffeId.of(
      trustDomain,
      join(() => 'x'),
    );
  } catch (error) {
    throw malformed(text, `makes no path: ${messageOf(error)}`);
  }
  return (valueOf) => {
    const path = join((name) => segment(name, valueOf(name)));
    return checked(path, trustDomain);
  };
}

function segment(name: string, value: string | undefined): string {
  if (value !== undefined && SEGMENT.test(value)) return value;
  const got = value === undefined ? 'nothing' : JSON.stringify(value.slice(0, 80));
  const message = `the ID of the agent needs ${name}, of A-Z, a-z, 0-9, ".", "_", "-"; got ${got}`;
  throw new TrustplaneError('ERR_NODE_ATTEST_PATH', message);
}

function checked(path: string, trustDomain: TrustDomain): string {
  try {
    return SpiffeId.of(trustDomain, path).path;
  } catch (error) {
    throw new TrustplaneError('ERR_NODE_ATTEST_PATH', messageOf(error), { cause: error });
  }
}

function malformed(text: string, why: string): TrustplaneError {
  const shown = JSON.stringify(text.slice(0, 80));
  return new TrustplaneError('ERR_NODE_ATTEST_TEMPLATE', `the template ${shown} ${why}`);
}
