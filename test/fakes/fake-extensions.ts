import type {
  ExtensionClient,
  ExtensionConfig,
  ExtensionSource,
  ExtensionView,
} from '../../src/ecds/extension-source.ts';
import { messageType } from '../../src/wire/index.ts';

const extension = messageType(
  'envoy/config/core/v3/extension.proto',
  'envoy.config.core.v3.TypedExtensionConfig',
);

type Answer = ExtensionConfig | 'pending' | 'refused';

/** Extension configurations of the test's making: the same for whoever asks. */
export class FakeExtensions implements ExtensionSource {
  readonly #content = new Map<string, Answer>();
  readonly #views = new Set<() => void>();
  /** Who asked, in turn. */
  readonly clients: ExtensionClient[] = [];
  /** As text, in turn. */
  readonly verdicts: string[] = [];
  readonly #encode: typeof extensionBytes;

  /** `encode`: what a version is, as a TypedExtensionConfig; default one that says its version. */
  constructor(encode: typeof extensionBytes = extensionBytes) {
    this.#encode = encode;
  }

  /** Views that are open. */
  get opened(): number {
    return this.#views.size;
  }

  set(name: string, answer: 'pending' | 'refused' | { version: string; ttlMs?: number }): void {
    const { version, ttlMs } = typeof answer === 'string' ? { version: '' } : answer;
    const made = { name, version, bytes: this.#encode(name, version), ttlMs };
    this.#content.set(name, typeof answer === 'string' ? answer : made);
  }

  /** Sets it and tells everybody. */
  publish(...change: Parameters<FakeExtensions['set']>): void {
    this.set(...change);
    for (const onChange of this.#views) onChange();
  }

  open(client: ExtensionClient, onChange: () => void): ExtensionView {
    this.clients.push(client);
    const told = (): void => onChange();
    this.#views.add(told);
    return {
      resolve: ({ text }) => this.#content.get(text) ?? 'refused',
      onVerdict: (name, version, refusal) =>
        void this.verdicts.push(`${name} ${version}${refusal === undefined ? '' : `: ${refusal}`}`),
      close: () => void this.#views.delete(told),
    };
  }
}

/** A TypedExtensionConfig that says which version it is. */
export function extensionBytes(name: string, version: string): Uint8Array {
  const typed_config = { type_url: 'type.googleapis.com/test.Rules', value: Buffer.from(version) };
  return extension.encode({ name, typed_config }).finish();
}
