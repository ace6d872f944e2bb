import { messageOf, printable, type SpiffeId, type WorkloadUpdate } from '../spiffe/index.ts';
import type {
  Absence,
  Resource,
  ResourceSession,
  ResourceView,
  Response,
  StreamState,
  Verdict,
  XdsClient,
} from '../xds/index.ts';
import type { ExtensionEncoder } from './extension-encoder.ts';
import type { ExtensionClient, ExtensionSource, ExtensionView } from './extension-source.ts';
import type { RefusalLog } from './refusal-log.ts';
import { parseResourceName, type ResourceName } from './resource-name.ts';

/** What the sessions of all clients share. */
export interface ExtensionGround {
  readonly extensions: ExtensionSource;
  readonly encode: ExtensionEncoder;
  readonly refusals: RefusalLog;
  readonly countSent: (response: Response) => void;
}

const MAX_LEFT = 100;
/** As much as Envoy says at most. */
const MAX_REFUSAL_CHARS = 4_096;

/** The extension configurations of one client. A wildcard stands for none of them. */
export class ExtensionSession implements ResourceSession, ResourceView {
  readonly names: readonly string[] = [];
  readonly #ground: ExtensionGround;
  readonly #client: Omit<ExtensionClient, 'ids'>;
  readonly #onChange: () => void;
  #update: WorkloadUpdate | undefined;
  #ids: readonly SpiffeId[] = [];
  /** Of these identities; from the first name on that may be one of them. */
  #view: ExtensionView | undefined;
  /** The names that this view was asked for. */
  readonly #asked = new Set<string>();
  /** Of them, those of which it knows what became. */
  readonly #told = new Set<string>();
  readonly #verdicts = new Map<string, { version: string; refusal: string | undefined }>();

  constructor({ pid, node, onChange }: XdsClient, ground: ExtensionGround) {
    this.#ground = ground;
    this.#client = { pid, nodeId: node?.id ?? '', version: node?.version };
    this.#onChange = onChange;
  }

  view(update: WorkloadUpdate): ResourceView {
    if (update === this.#update) return this;
    this.#update = update;
    const ids = update.identities.map(({ spiffeId }) => spiffeId);
    if (ids.join() === this.#ids.join()) return this;
    this.#ids = ids;
    this.close();
    return this;
  }

  /** A client whose entry is not known yet keeps what it brought; one that lost its entry does not. */
  resolve(text: string): Resource | Absence {
    if (this.#ids.length === 0) return 'pending';
    const name = this.#parse(text);
    if (name === undefined) return 'absent';
    this.#view ??= this.#open();
    this.#asked.add(text);
    const config = this.#view.resolve(name);
    if (config === 'refused') return 'absent';
    if (config === 'pending') return 'withheld';
    return this.#ground.encode(name, config);
  }

  /** Only removal takes it back: the default configuration then takes over. */
  withdrawal(): undefined {
    return undefined;
  }

  sent(response: Response): void {
    this.#ground.countSent(response);
    // The client has none of these any more, whatever it said of them.
    for (const name of response.removed) this.#verdicts.delete(name);
  }

  /** Of several that are refused together each is sent once more, alone: then it is known which is bad. */
  settled({ accepted, refs }: Verdict, said: string | undefined): void {
    if (!accepted && refs.length > 1) return;
    const refusal = said === undefined ? undefined : printable(said, MAX_REFUSAL_CHARS);
    for (const { name, version } of refs) {
      this.#verdicts.set(name, { version, refusal });
      this.#told.add(name);
      this.#view?.onVerdict(name, version, refusal);
    }
  }

  /** A view that was opened since is told what the client has, also what it had before it came. */
  report({ names, claimed, served }: StreamState): void {
    this.#forget(names);
    for (const name of names) {
      if (this.#told.has(name)) continue;
      const version = claimed.has(name) ? served.get(name) : this.#verdicts.get(name)?.version;
      const found = version === undefined ? undefined : this.resolve(name);
      if (typeof found !== 'object' || found.version !== version) continue;
      this.#told.add(name);
      this.#view?.onVerdict(name, version, this.#verdicts.get(name)?.refusal);
    }
  }

  close(): void {
    this.#view?.close();
    this.#view = undefined;
    this.#asked.clear();
    this.#told.clear();
  }

  /** However many names a client asks for one after the other, little more than those it has now are kept. */
  #forget(names: ReadonlySet<string>): void {
    if (this.#asked.size > names.size + MAX_LEFT) this.close();
    for (const name of this.#verdicts.keys()) if (!names.has(name)) this.#verdicts.delete(name);
  }

  #open(): ExtensionView {
    const client = { ...this.#client, ids: this.#ids };
    return this.#ground.extensions.open(client, this.#onChange);
  }

  /** Undefined: there is no such thing, or it is another service's. */
  #parse(text: string): ResourceName | undefined {
    const refuse = (why: string): undefined => {
      const { pid, nodeId } = this.#client;
      this.#ground.refusals.note({ pid, node: nodeId }, text, why);
    };
    let name: ResourceName;
    try {
      name = parseResourceName(text);
    } catch (error) {
      return refuse(messageOf(error));
    }
    const { spiffeId } = name;
    if (spiffeId === undefined || this.#ids.some((id) => id.equals(spiffeId))) return name;
    return refuse(`the caller has the identities ${this.#ids.join()}`);
  }
}
