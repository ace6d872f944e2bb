import type { Branch, SegmentRef } from './branch.ts';
import type { Draft } from './draft.ts';
import type { Cell } from './value-cells.ts';

/** One class of the values of a field. */
export interface Choice {
  /** The branches whose tests of the field hold. */
  readonly live: readonly Branch[];
  readonly cell?: { readonly field: SegmentRef['field']; readonly cell: Cell };
  /** Writes the shortest value of the class. */
  readonly apply: (draft: Draft) => void;
}
