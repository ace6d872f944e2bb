import type { Resource } from '../../src/xds/resource.ts';
import type { Absence, ResourceView } from '../../src/xds/resource-view.ts';

const absences: ReadonlySet<string> = new Set<Absence>([
  'refused',
  'pending',
  'absent',
  'withheld',
]);

/** A resource that is only a name and a version. Names with a colon are bundles, the others certificates. */
function fakeResource(name: string, version: string, bytes: number = 10): Resource {
  const ref = {
    name,
    version,
    kind: name.includes(':') ? 'validation_context' : 'tls_certificate',
    isReducible: version.startsWith(SCOPED),
  } as const;
  const encoded = { parts: [Buffer.alloc(bytes)], bytes };
  return { ...ref, ref, sotw: encoded, delta: encoded };
}

/** Versions that begin so list SPIFFE IDs; a client that refuses one gets what follows. */
export const SCOPED = 'scoped ';

/** What takes `name` back. */
export const WITHDRAWN = 'withdrawn';

/**
 * A view out of name → version, or why there is none; names that are not given are refused. A
 * wildcard stands for what has a version.
 */
export function fakeView(
  content: Readonly<Record<string, string>>,
  bytesPerResource: number = 10,
): ResourceView {
  const given = new Map(Object.entries(content));
  const isAbsence = (text: string): text is Absence => absences.has(text);
  return {
    names: [...given].filter(([, text]) => !isAbsence(text)).map(([name]) => name),
    resolve(name, _, isDeclined) {
      const whole = given.get(name) ?? 'refused';
      const text = isDeclined ? whole.replace(SCOPED, '') : whole;
      return isAbsence(text) ? text : fakeResource(name, text, bytesPerResource);
    },
    withdrawal: (name) => (name.includes(':') ? fakeResource(name, WITHDRAWN) : undefined),
  };
}
