/** Tells what policies come to for all requests at once: assertions, lints, differences, who can do what; exact, and pure. */

export { checkAssertions } from './check-assertions.ts';
