import type { Secret } from '../../src/sds/secret.ts';
import type { SecretView } from '../../src/sds/secret-view.ts';

type Absence = 'refused' | 'pending' | 'expired';

/** A secret that is only a name and a version. Names with a colon are bundles, the others certificates. */
function fakeSecret(name: string, version: string, bytes: number = 10): Secret {
  const ref = {
    name,
    version,
    kind: name.includes(':') ? 'validation_context' : 'tls_certificate',
    isScoped: version.startsWith(SCOPED),
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
  bytesPerSecret: number = 10,
): SecretView {
  const given = new Map(Object.entries(content));
  const isAbsence = (text: string): text is Absence =>
    text === 'refused' || text === 'pending' || text === 'expired';
  return {
    names: [...given].filter(([, text]) => !isAbsence(text)).map(([name]) => name),
    resolve(name, _, isDeclined) {
      const whole = given.get(name) ?? 'refused';
      const text = isDeclined ? whole.replace(SCOPED, '') : whole;
      return isAbsence(text) ? text : fakeSecret(name, text, bytesPerSecret);
    },
    withdrawal: (name) => (name.includes(':') ? fakeSecret(name, WITHDRAWN) : undefined),
  };
}
