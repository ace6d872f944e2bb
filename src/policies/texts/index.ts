/** Reads the text of policies, strictly: one reader for whoever checks, applies or compiles them. */
export { digestOf } from './digest-of.ts';
export { findSharedMistakes, findSharedNames, placeOfName } from './find-shared-mistakes.ts';
export { type ReadPolicy, readPolicy } from './read-policy.ts';
