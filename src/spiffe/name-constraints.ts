import type { Certificate } from './certificate.ts';
import type { NameConstraints } from './certificate-extensions.ts';
import { type GeneralName, generalNameTypes } from './general-name.ts';

const OID_EMAIL_ADDRESS = '1.2.840.113549.1.9.1';
const URI_HOST = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/([a-zA-Z0-9._-]+)(?:[/?#]|$)/;
const IPV4 = /^\d+\.\d+\.\d+\.\d+$/;
const DOMAIN = /^\.?[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)*$/;

/**
 * Why the names of a certificate are outside the constraints of an issuer above it, or undefined
 * (RFC 5280 §4.2.1.10). URI and DNS constraints are evaluated; a constraint of another type is
 * refused as soon as the certificate has a name of that type.
 */
export function nameConstraintsFault(
  constraints: NameConstraints,
  certificate: Certificate,
): string | undefined {
  const types = new Set(
    [...constraints.permitted, ...constraints.excluded].map(({ type }) => type),
  );
  for (const type of types) {
    const fault = typeFault(type, constraints, certificate);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function typeFault(
  type: number,
  constraints: NameConstraints,
  certificate: Certificate,
): string | undefined {
  const ofType = (names: readonly GeneralName[]) => names.filter((name) => name.type === type);
  const names = ofType(certificate.names);
  if (type === generalNameTypes.uri || type === generalNameTypes.dns) {
    const permitted = ofType(constraints.permitted);
    const excluded = ofType(constraints.excluded);
    return firstFault(names, (name) => nameFault(name, permitted, excluded));
  }
  const hasName = names.length > 0 || subjectHasName(type, certificate);
  return hasName ? `a constraint on names of type ${type}, which is not evaluated` : undefined;
}

/** The subject is a directory name itself, and may hold an e-mail address. */
function subjectHasName(type: number, { subject }: Certificate): boolean {
  if (type === generalNameTypes.directory) return subject.attributeTypes.length > 0;
  return type === generalNameTypes.email && subject.attributeTypes.includes(OID_EMAIL_ADDRESS);
}

function nameFault(
  name: GeneralName,
  permitted: readonly GeneralName[],
  excluded: readonly GeneralName[],
): string | undefined {
  const malformed = firstFault([...permitted, ...excluded], (constraint) =>
    constraint.text !== '' && !DOMAIN.test(constraint.text ?? '')
      ? `the malformed constraint ${quote(constraint)}`
      : undefined,
  );
  if (malformed !== undefined) return malformed;
  const isUri = name.type === generalNameTypes.uri;
  const host = isUri ? uriHost(name.text ?? '') : name.text?.toLowerCase();
  if (host === undefined) return `the name ${quote(name)}, which has no host name`;
  const covers = ({ text = '' }: GeneralName) => domainCovers(text.toLowerCase(), host, isUri);
  const match = excluded.find(covers);
  if (match !== undefined) return `the name ${quote(name)}, which ${quote(match)} excludes`;
  if (permitted.length === 0 || permitted.some(covers)) return undefined;
  return `the name ${quote(name)}, which is not permitted`;
}

function uriHost(uri: string): string | undefined {
  const host = URI_HOST.exec(uri)?.[1]?.toLowerCase();
  return host === undefined || IPV4.test(host) ? undefined : host;
}

/** A URI constraint names one host, or with a leading dot the hosts below; a DNS constraint covers both. */
function domainCovers(constraint: string, host: string, isUri: boolean): boolean {
  if (constraint === '') return true;
  if (constraint.startsWith('.')) return host.endsWith(constraint);
  return host === constraint || (!isUri && host.endsWith(`.${constraint}`));
}

function firstFault<Item>(
  items: readonly Item[],
  faultOf: (item: Item) => string | undefined,
): string | undefined {
  for (const item of items) {
    const fault = faultOf(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function quote({ text = '' }: GeneralName): string {
  return JSON.stringify(text.slice(0, 200));
}
