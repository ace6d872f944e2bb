import { buildBucketName } from './bucket-id.ts';
import type { BucketName } from './store.ts';

/** Where a bucket is on NATS: one stream, one subject for each key, as KV clients lay it out. */
export interface JetStreamPlace {
  readonly bucket: BucketName | 'meta';
  readonly stream: string;
  /** Of all its subjects. */
  readonly subjects: string;
  subjectOf(key: string): string;
  /** Undefined when the subject is none of this bucket. */
  keyOf(subject: string): string | undefined;
  /** The narrowest filter that lets all keys with `prefix` through, and maybe others. */
  filterOf(prefix: string): string;
}

export function buildPlace(trustDomain: string, bucket: BucketName | 'meta'): JetStreamPlace {
  const id = buildBucketName(trustDomain, bucket);
  const root = `$KV.${id}.`;
  return {
    bucket,
    stream: `KV_${id}`,
    subjects: `${root}>`,
    subjectOf: (key) => root + key,
    keyOf: (subject) => (subject.startsWith(root) ? subject.slice(root.length) : undefined),
    filterOf(prefix) {
      const tokens = prefix.slice(0, prefix.lastIndexOf('.') + 1);
      return /^\.|\.\./u.test(tokens) ? `${root}>` : `${root}${tokens}>`;
    },
  };
}
