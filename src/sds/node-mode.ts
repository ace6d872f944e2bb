import { quote, TrustplaneError } from '../spiffe/index.ts';
import type { ClientNode } from '../xds/index.ts';
import type { ValidationMode } from './validation.ts';

const SWITCH = 'disable_spiffe_cert_validation';
const TEXTS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

/**
 * The kind of validation contexts a client asks for, or is able to take; undefined leaves it to the
 * configuration.
 * @throws TrustplaneError ERR_SDS_NODE
 */
export function modeOf(node: ClientNode | undefined): ValidationMode | undefined {
  const isDisabled = parseSwitch(node) ?? (lacksSpiffeValidator(node) || undefined);
  if (isDisabled === undefined) return undefined;
  return isDisabled ? 'plain' : 'spiffe';
}

function parseSwitch(node: ClientNode | undefined): boolean | undefined {
  const value = node?.metadata(SWITCH);
  if (value === undefined) return undefined;
  const parsed = value.boolValue ?? TEXTS.get(value.stringValue ?? '');
  if (parsed !== undefined) return parsed;
  throw new TrustplaneError(
    'ERR_SDS_NODE',
    `the node metadata ${SWITCH} must be true or false, as a bool or a string; got ${quote(value.stringValue ?? 'another kind of value')}`,
  );
}

/** Envoy has the SPIFFE validator since 1.18. */
function lacksSpiffeValidator(node: ClientNode | undefined): boolean {
  if (node?.version === undefined) return false;
  const [major, minor] = node.version;
  return major === 1 && minor < 18;
}
