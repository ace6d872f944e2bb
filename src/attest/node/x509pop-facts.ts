import { createHash } from 'node:crypto';
import {
  type Certificate,
  parseSelector,
  type Selector,
  type TrustDomain,
} from '../../spiffe/index.ts';

const SAN_KEY = /^[A-Za-z0-9._-]{1,64}$/u;

/** SPIRE's names, so that its templates can be taken over. */
const SIMPLE_VARIABLES = new Map<string, (facts: X509PopFacts) => string | undefined>([
  ['Fingerprint', (facts) => facts.fingerprint],
  ['SerialNumberHex', (facts) => facts.serialNumberHex],
  ['Subject.CommonName', (facts) => facts.commonName],
  ['TrustDomain', (facts) => facts.trustDomain],
]);
const SAN_VARIABLE = /^URISanSelectors\.([A-Za-z0-9_]{1,64})$/u;

/** What the verified certificates say of a node. */
export interface X509PopFacts {
  readonly selectors: readonly Selector[];
  /** Names in the certificate that make no selector. */
  readonly leftOut: readonly string[];
  /** SHA-1 of the certificate, hex; as in SPIRE, a name and no safeguard. */
  readonly fingerprint: string;
  readonly serialNumberHex: string;
  readonly commonName: string | undefined;
  readonly trustDomain: string;
  /** From URI SANs `x509pop://<trust domain>/<key>/<value>`. */
  readonly san: ReadonlyMap<string, string>;
}

/** Of verified certificates: the node's, and those above it up to the authority. */
export function readX509PopFacts(
  leaf: Certificate,
  authorities: readonly Certificate[],
  trustDomain: TrustDomain,
): X509PopFacts {
  const { san, leftOut } = readSans(leaf.uriSans, `x509pop://${trustDomain.name}/`);
  const { commonName } = leaf.subject;
  const values = [
    ...(commonName === undefined || commonName === '' ? [] : [`subject:cn:${commonName}`]),
    ...new Set(authorities.map(({ der }) => `ca:fingerprint:${fingerprintOf(der)}`)),
    `serialnumber:${leaf.serialNumber}`,
    ...Array.from(san, ([key, value]) => `san:${key}:${value}`),
  ];
  const selectors: Selector[] = [];
  for (const value of values) {
    const selector = selectorOf(value);
    if (selector === undefined) leftOut.push(value);
    else selectors.push(selector);
  }
  return {
    selectors,
    leftOut,
    fingerprint: fingerprintOf(leaf.der),
    serialNumberHex: leaf.serialNumber,
    commonName,
    trustDomain: trustDomain.name,
    san,
  };
}

/** Whether a template for agent IDs may use it. */
export function isX509PopVariable(name: string): boolean {
  return SIMPLE_VARIABLES.has(name) || SAN_VARIABLE.test(name);
}

/** Undefined when the certificate says nothing of it. */
export function x509PopVariable(facts: X509PopFacts, name: string): string | undefined {
  const simple = SIMPLE_VARIABLES.get(name);
  return simple === undefined ? facts.san.get(name.replace(SAN_VARIABLE, '$1')) : simple(facts);
}

/** SHA-1, hex. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha1').update(der).digest('hex');
}

function selectorOf(value: string): Selector | undefined {
  try {
    return parseSelector(`x509pop:${value}`);
  } catch {
    return undefined;
  }
}

/** A key that comes twice says nothing. */
function readSans(uris: readonly string[], prefix: string) {
  const found = new Map<string, string[]>();
  const leftOut: string[] = [];
  for (const uri of uris) {
    if (!uri.startsWith(prefix)) continue;
    const pair = readPair(uri.slice(prefix.length));
    if (pair === undefined) leftOut.push(uri);
    else found.set(pair.key, [...(found.get(pair.key) ?? []), pair.value]);
  }
  const san = new Map<string, string>();
  for (const [key, [value = '', ...others]] of found) {
    if (others.length === 0) san.set(key, value);
    else leftOut.push(`${prefix}${key}`);
  }
  return { san, leftOut };
}

function readPair(encoded: string): { readonly key: string; readonly value: string } | undefined {
  const text = /[?#]/u.test(encoded) ? undefined : decodePercent(encoded);
  const [, key, value] = /^\/*([^/]+)\/(.+?)\/*$/su.exec(text ?? '') ?? [];
  if (key === undefined || value === undefined || !SAN_KEY.test(key)) return undefined;
  return { key, value };
}

function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
