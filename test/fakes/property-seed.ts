import fc from 'fast-check';

/** Properties look at the same values in every run of a commit; another SEED looks elsewhere. */
fc.configureGlobal({ seed: Number(process.env['SEED']) });
