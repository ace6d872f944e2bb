import { createHash } from 'node:crypto';
import { assertionLines } from '../authz/analysis/index.ts';
import { type Policy, packPlan, packPolicy, unpackPolicy } from '../authz/index.ts';
import type { LocatedYaml } from '../ops/index.ts';
import { digestOf, findSharedNames, placeOfName, readPolicy } from '../policies/texts/index.ts';
import { messageOf, policyTextLimits, TrustplaneError } from '../spiffe/index.ts';
import { readPolicyBytes } from './policy-files.ts';
import type { PolicySet, PolicySources } from './policy-source.ts';

const MAX_COMPLAINTS = 100;
/** Files that change while they are read are read again, and the set before may be in force. */
const MAX_SETS = 4;

/** A policy that has no mistake of its own. */
interface KnownPolicy {
  /** Of its bytes. */
  readonly sha256: string;
  readonly name: string;
  readonly packed: string;
}

interface Checked extends KnownPolicy {
  readonly file: string;
  readonly bytes: Uint8Array;
}

interface Source {
  readonly file: string;
  read(): Promise<Uint8Array>;
}

/** Reads, checks and compiles sets of policies. It remembers what it checked, so that an edit costs its own file alone. */
export class PolicyLoader {
  /** By file. */
  #known: ReadonlyMap<string, KnownPolicy> = new Map();
  /** The latest good sets, packed, the last one last, by digest. */
  readonly #sets = new Map<string, readonly string[]>();
  /** The last good set, which is looked at again when its files may have changed. */
  #last: { readonly texts: string; readonly set: PolicySet } | undefined;
  /** The set that was asked for last, and whatever takes its place. */
  #asked: { readonly digest: string; readonly policies: readonly Policy[] } | undefined;

  /** The policies of one of the latest sets that were loaded. */
  policiesOf(digest: string): readonly Policy[] | undefined {
    if (this.#asked?.digest === digest) return this.#asked.policies;
    const policies = this.#sets.get(digest)?.map(unpackPolicy);
    if (policies !== undefined) this.#asked = { digest, policies };
    return policies;
  }

  /** @throws TrustplaneError ERR_POLICY: complaints as `name:line:column: message`, one on a line, at most 100 */
  async load(sources: PolicySources): Promise<PolicySet> {
    const all = 'files' in sources ? sources.files.map(fileSource) : sources.texts.map(textSource);
    const complaints = new Complaints();
    const checked = await this.#checkAll(all, complaints);
    complaints.add(findSharedNames(checked.map(namedPolicy)));
    complaints.throwIfAny();
    const texts = checked.map(({ file, sha256 }) => `${sha256} ${file}`).join('\n');
    if (this.#last?.texts === texts) return this.#last.set;
    const placed = checked.map(placedPolicy);
    complaints.add(assertionLines(placed));
    complaints.throwIfAny();
    const policies = placed.map(({ policy }) => policy);
    const image = packPlan(policies, digestOf(policies));
    this.#keep(image.digest, checked);
    if (this.#asked !== undefined) this.#asked = { digest: image.digest, policies };
    const set = { digest: image.digest, image, rules: image.rules };
    this.#last = { texts, set };
    return set;
  }

  #keep(digest: string, checked: readonly KnownPolicy[]): void {
    this.#sets.delete(digest);
    this.#sets.set(
      digest,
      checked.map(({ packed }) => packed),
    );
    for (const oldest of this.#sets.keys()) {
      if (this.#sets.size <= MAX_SETS) break;
      this.#sets.delete(oldest);
    }
  }

  async #checkAll(sources: readonly Source[], complaints: Complaints): Promise<Checked[]> {
    const checked: Checked[] = [];
    const known = new Map<string, KnownPolicy>();
    let bytesLeft: number = policyTextLimits.bytes;
    for (const source of sources) {
      try {
        const bytes = await source.read();
        bytesLeft -= bytes.length;
        if (bytesLeft < 0) throw tooManyBytes(source);
        const policy = this.#check(source.file, bytes);
        known.set(source.file, policy);
        checked.push({ ...policy, file: source.file, bytes });
      } catch (error) {
        complaints.add(messageOf(error).split('\n'));
        if (bytesLeft < 0) break;
      }
    }
    this.#known = known;
    return checked;
  }

  #check(file: string, bytes: Uint8Array): KnownPolicy {
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const known = this.#known.get(file);
    if (known?.sha256 === sha256) return known;
    const { policy } = readPolicy({ name: file, bytes });
    const { name } = policy.metadata;
    return { sha256, name, packed: packPolicy({ ...policy, tests: undefined }) };
  }
}

function namedPolicy({ name, file, bytes }: Checked) {
  return { name, place: () => placeOfName(readPolicy({ name: file, bytes }).document) };
}

/** A document that is checked is parsed again in the rare case that it must tell where something stands. */
function placedPolicy({ file, bytes, packed }: Checked) {
  let document: LocatedYaml | undefined;
  const position: LocatedYaml['position'] = (path) => {
    document ??= readPolicy({ name: file, bytes }).document;
    return document.position(path);
  };
  return { policy: unpackPolicy(packed), document: { file, position } };
}

/** The first of them: a mistake in a template may be in ten thousand rules. */
class Complaints {
  readonly #lines: string[] = [];
  #more = 0;

  add(lines: readonly string[]): void {
    const room = MAX_COMPLAINTS - this.#lines.length;
    this.#lines.push(...lines.slice(0, room));
    this.#more += Math.max(0, lines.length - room);
  }

  throwIfAny(): void {
    if (this.#lines.length === 0) return;
    const more = this.#more === 0 ? [] : [`and ${this.#more} more complaints`];
    throw new TrustplaneError('ERR_POLICY', [...this.#lines, ...more].join('\n'));
  }
}

function fileSource(file: string): Source {
  return { file, read: async () => await readPolicyBytes(file) };
}

function textSource({ name, text }: { readonly name: string; readonly text: string }): Source {
  return { file: name, read: async () => new TextEncoder().encode(text) };
}

function tooManyBytes({ file }: Source): TrustplaneError {
  return new TrustplaneError(
    'ERR_POLICY',
    `${file}: with it the policies have over ${policyTextLimits.bytes} bytes, the most that are read`,
  );
}
