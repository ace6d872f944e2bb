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

/** Private keys as PEM, signed tokens (JWS compact), and what follows `Authorization:` or `Bearer`. */
const SECRET_TEXT =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?!-----END).)*(?:-----END [A-Z ]*PRIVATE KEY-----)?|\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=\b(?:authorization["'\\:= ]+(?:[a-z]+ )?|bearer ))[\w.~+/-]+=*/giu;

/** One line without what looks like a secret, wherever in it that stands: the messages of other programs' errors quote much. */
export function redactText(line: string): string {
  return line.replace(SECRET_TEXT, '[redacted]');
}
