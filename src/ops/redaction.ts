/** Members whose values never reach the log. */
const SECRET_NAMES = [
  'authorization',
  'cookie',
  'credential',
  'credentials',
  'csr',
  'jwt',
  'passphrase',
  'password',
  'payload',
  'privateKey',
  'private_key',
  'private_key_pem',
  'secret',
  'sealKey',
  'svid',
  'token',
  'x509_svid_key',
];

/** Their paths as pino takes them, at any of the first three depths. */
export const secretPaths: string[] = SECRET_NAMES.flatMap((name) => [
  name,
  `*.${name}`,
  `*.*.${name}`,
]);

/**
 * In a line of JSON: private keys as PEM up to their end or that of the string, signed tokens (JWS
 * compact), what follows `Authorization:` or `Bearer` in a text, and members of that name.
 */
const SECRET_TEXTS = [
  String.raw`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^"\\]|\\.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?="|$))`,
  String.raw`\beyJ[\w-]+\.[\w-]+\.[\w-]*`,
  String.raw`(?<=\b(?:authorization(?:\\["'])?[:=] ?(?:\\["'])?(?:[a-z]+ )?|bearer ))[\w.~+/-]+=*`,
  String.raw`(?<="authorization":")[^"\\]+`,
];
const SECRET_TEXT = new RegExp(SECRET_TEXTS.join('|'), 'giu');

/** One line without what looks like a secret, wherever in it that stands: the messages of other programs' errors quote much. */
export function redactText(line: string): string {
  return line.replace(SECRET_TEXT, '[redacted]');
}
