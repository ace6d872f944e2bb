/** What the text of a policy says, as far as the second evaluator reads it. */
export interface PolicyDocument {
  readonly metadata: { readonly name: string };
  readonly service: string | { readonly contextExtension: string };
  readonly mode?: { readonly stage: 'observe' | 'canary' | 'enforce'; readonly percent?: number };
  readonly request?: {
    readonly path?: { readonly matrixParameters: 'allow' | 'reject' };
    readonly body?: { readonly maxBytes: number };
  };
  readonly response?: {
    readonly deny: {
      readonly status?: 401 | 403 | 429 | 503;
      readonly body?: 'problem+json' | 'none';
    };
  };
  readonly sets?: Readonly<Record<string, readonly string[]>>;
  readonly rules: readonly RuleDocument[];
}

export interface RuleDocument {
  readonly id: string;
  readonly from: 'authenticated' | 'anyone' | readonly string[] | FromDocument;
  readonly allow?: readonly OperationDocument[];
  readonly deny?: readonly OperationDocument[];
  readonly when?: WhenDocument;
  readonly map?: Readonly<Record<string, string>>;
  readonly log?: 'always' | 'sampled';
}

export type Credential = 'x509-svid' | 'jwt-svid';

interface FromDocument {
  readonly ids: readonly string[];
  readonly except?: readonly string[];
  readonly anyTrustDomain?: boolean;
  readonly credentials?: readonly Credential[];
}

export type OperationDocument =
  | string
  | {
      readonly methods?: readonly string[];
      readonly paths?: readonly string[];
      readonly hosts?: readonly string[];
      readonly port?: number | readonly number[];
      readonly query?: Readonly<Record<string, Texts>>;
      readonly grpc?: readonly string[];
    };

/** One or several. */
export type Texts = string | readonly string[];

export interface WhenDocument {
  readonly jwt?: {
    readonly issuer: string;
    readonly claims?: Readonly<Record<string, Texts | { readonly contains: Texts }>>;
  };
  readonly 'source.ip'?: readonly string[];
  readonly 'destination.ip'?: readonly string[];
  readonly time?: { readonly from?: string; readonly until?: string };
  readonly headers?: Readonly<
    Record<string, Texts | { readonly pattern: Texts; readonly values?: 'every' | 'some' }>
  >;
}
