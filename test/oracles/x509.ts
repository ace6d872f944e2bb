import './reflect-metadata.ts';

/** An X.509 implementation that is not ours, to hold ours against. */
export * from '@peculiar/x509';
