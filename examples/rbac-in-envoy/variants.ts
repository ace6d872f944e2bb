/** Who decides about a request. */
export type VariantName = 'rbac' | 'check' | 'both' | 'draft';

/** One application, and a way to decide who may do what in it. */
export interface Variant {
  readonly name: VariantName;
  readonly about: string;
  /** What `trustplane envoy bootstrap` is told. */
  readonly authz: 'rbac' | 'check' | 'rbac+check';
  /** Whether Check is there to be asked. */
  readonly hasCheck: boolean;
  /** Whether a draft is observed beside the policy. */
  readonly hasDraft: boolean;
  /** What the search gets, which Envoy cannot decide. */
  readonly search: number;
  /** What is answered while the agent is dead: to what a rule allows, to what one denies, to the search. */
  readonly whileDead: {
    readonly allowed: number;
    readonly denied: number;
    readonly search: number;
  };
}

const rbac: Variant = {
  name: 'rbac',
  about: 'Envoy decides itself, and denies what it is not sure of',
  authz: 'rbac',
  hasCheck: false,
  hasDraft: false,
  search: 403,
  whileDead: { allowed: 200, denied: 403, search: 403 },
};

/** The first is the default. */
const variants: readonly Variant[] = [
  rbac,
  {
    name: 'check',
    about: 'Envoy asks about each request',
    authz: 'check',
    hasCheck: true,
    hasDraft: false,
    search: 200,
    whileDead: { allowed: 503, denied: 503, search: 503 },
  },
  {
    name: 'both',
    about: 'Envoy decides what it is sure of, and asks about the rest',
    authz: 'rbac+check',
    hasCheck: true,
    hasDraft: false,
    search: 200,
    whileDead: { allowed: 200, denied: 403, search: 503 },
  },
  {
    ...rbac,
    name: 'draft',
    about: 'Envoy decides itself, and counts what a draft would do',
    hasDraft: true,
  },
];

export const variantNames: readonly string[] = variants.map(({ name }) => name);

export function variantOf(name: string | undefined): Variant {
  const found = variants.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no variant ${name}`);
  return found;
}
