import type { LastingRecords } from '../store/index.ts';
import { joinRefused, REFUSED_KEY } from './refused-keys.ts';

/** Which authorities there are, and which are refused for good. */
export const lastingAuthorities: LastingRecords = {
  bucket: 'authorities',
  prefix: '',
  keeps: 'all',
  endOf: () => undefined,
  join: (key, known, stored) => (key === REFUSED_KEY ? joinRefused(known, stored) : undefined),
};
