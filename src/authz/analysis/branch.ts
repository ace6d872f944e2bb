import type { IpRange } from '../ip-range.ts';
import type { Pattern } from '../pattern.ts';
import type { Credential } from '../policy.ts';
import type { Machine } from './machine.ts';

/** Who is meant. */
export interface CallerTest {
  /** Undefined: whoever has an ID. */
  readonly ids: readonly Pattern[] | undefined;
  readonly except: readonly Pattern[];
  readonly credentials: readonly Credential[];
  /** Whoever is not one of `ids`, callers without ID among them. */
  readonly isOutside: boolean;
}

/** Of a header, a key of the query or a claim. */
export interface ListTest {
  readonly machines: readonly Machine[];
  /** Of several values each must match, or one; `text`: the value is no list, `member`: it is one; `absent`: there is none. */
  readonly needs: 'every' | 'some' | 'text' | 'member' | 'absent';
}

/** A segment of what the caller, the path or the host is; of hosts counted from the end. */
export interface SegmentRef {
  readonly field: 'caller' | 'path' | 'host';
  readonly depth: number;
}

/** One of the ways to match a rule: all of its tests hold. */
export interface Branch {
  readonly number: number;
  /** The number of the rule. */
  readonly rule: number;
  readonly needsHttp: boolean;
  /** Undefined: anyone. */
  readonly caller: CallerTest | undefined;
  /** Less of the callers than this, of 100; undefined: all. */
  readonly percent: number | undefined;
  readonly methods: readonly string[] | undefined;
  readonly paths: readonly Pattern[] | undefined;
  readonly hosts: readonly Pattern[] | undefined;
  readonly ports: readonly number[] | undefined;
  readonly sourceIp: readonly IpRange[] | undefined;
  readonly destinationIp: readonly IpRange[] | undefined;
  readonly from: number | undefined;
  readonly until: number | undefined;
  /** By `header x`, `query x`, `claim x`; each test must hold. */
  readonly lists: ReadonlyMap<string, readonly ListTest[]>;
  /** The segments of each group must be equal. */
  readonly equal: readonly (readonly SegmentRef[])[];
}
