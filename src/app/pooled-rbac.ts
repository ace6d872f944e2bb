import type { ExtensionConfig } from '../ecds/index.ts';
import type { ExportedRbac, RbacOrder, RbacTarget } from './rbac-export.ts';

/** Policies, by their digest and, where they are of the control plane, by the hash of the version. */
export interface PolicyMark {
  readonly digest: string;
  readonly hash: string | undefined;
}

/** What is sent, and what it stands for. */
export interface BuiltRbac extends PolicyMark {
  readonly config: ExtensionConfig;
  readonly order: RbacOrder;
  readonly exported: ExportedRbac;
}

/** The rules of one service as certain Envoys take them, live. */
export class PooledRbac {
  readonly target: RbacTarget;
  readonly listeners: Set<() => void> = new Set();
  /** The last that could be made. */
  built: BuiltRbac | undefined;
  /** Why what is to be in force cannot be. */
  fault: string | undefined;
  /** What it was made of last, or could not be. */
  madeOf: string | undefined;
  /** The thread ended while it was compiled, once. */
  isUnlucky: boolean = false;
  /** Told once: which rules Envoy cannot decide by. */
  left: string = '';
  /** What each version stands for, or stood for last. */
  readonly marks: Map<string, PolicyMark> = new Map();

  constructor(target: RbacTarget) {
    this.target = target;
  }
}
