/** Tells what policies come to for all requests at once: assertions, lints, differences, who can do what; exact, and pure. */

export { assertionLines } from './assertion-lines.ts';
