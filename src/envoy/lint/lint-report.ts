import { type ConfigEdit, setField, type Written } from './config-edit.ts';
import type { ConfigNode } from './config-node.ts';
import type { LintCode } from './lint-rules.ts';

/** Something found: where, and the change that removes it where that needs no thought. */
export interface Found {
  readonly code: LintCode;
  /** Where it stands; of a field that is missing, what it is missing in. */
  readonly node: ConfigNode;
  readonly path: readonly (string | number)[];
  readonly edit: ConfigEdit | undefined;
}

/** Takes what is found. */
export class LintReport {
  readonly found: Found[] = [];

  add(code: LintCode, node: ConfigNode, edit?: ConfigEdit): void {
    this.found.push({ code, node, path: node.path, edit });
  }

  /** A field of `map` is missing or wrong; `value` is what belongs there. */
  want(code: LintCode, map: ConfigNode, names: readonly string[], value: Written): void {
    const node = map.get(...names);
    const path = node?.path ?? [...map.path, ...names];
    this.found.push({ code, node: node ?? map, path, edit: setField(map, names, value) });
  }
}
