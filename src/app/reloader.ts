import type { Log } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import { saidOptions } from './config-options.ts';
import type { ConfigFile } from './config-schema.ts';
import type { LoadedConfig } from './load-config.ts';

type Apply = (config: Config) => void | Promise<void>;

/** What a running process takes up of a changed configuration. */
export class Reloader {
  readonly #log: Log;
  readonly #parts: { readonly options: () => readonly string[]; readonly apply: Apply }[] = [];
  #running: Said | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The names of those that are taken up. */
  get options(): readonly string[] {
    return this.#parts.flatMap(({ options }) => options());
  }

  /**
   * `apply` is called at each reload, changed or not, since files that options name may have changed
   * too. When it throws, what it had applied before stays. Names that take a while to find are asked for
   * when something is reloaded.
   */
  add(options: readonly string[] | (() => readonly string[]), apply: Apply): void {
    this.#parts.push({ options: typeof options === 'function' ? options : () => options, apply });
  }

  /**
   * One after the other. A configuration that cannot be loaded changes nothing. Never rejects.
   * @param started what the process was started with
   */
  async reload(load: () => LoadedConfig, started: ConfigFile): Promise<void> {
    this.#turn = this.#turn.then(() => this.#reload(load, started));
    await this.#turn;
  }

  async #reload(load: () => LoadedConfig, started: ConfigFile): Promise<void> {
    const before = this.#running ?? saidOptions(started);
    let loaded: LoadedConfig;
    try {
      loaded = load();
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'the configuration was not reloaded');
      return;
    }
    const now = saidOptions(loaded.said);
    const changed = changedOptions(before, now);
    const applied = new Set(await this.#applyAll(loaded.config));
    const kept = changed.filter((option) => !applied.has(option));
    this.#running = joined(before, now, applied);
    for (const option of kept)
      this.#log.warn({ option }, 'a changed option takes effect at the next start');
    const taken = changed.filter((option) => applied.has(option));
    this.#log.info({ changed: taken, kept }, 'the configuration was reloaded');
  }

  /** The options that are now as the file says. */
  async #applyAll(config: Config): Promise<string[]> {
    const applied: string[] = [];
    for (const { options, apply } of this.#parts) {
      try {
        await apply(config);
        applied.push(...options());
      } catch (error) {
        this.#log.error(
          { options: options(), error: messageOf(error) },
          'options were not reloaded',
        );
      }
    }
    return applied;
  }
}

type Said = ReadonlyMap<string, string>;

function changedOptions(before: Said, now: Said): string[] {
  const names = new Set([...before.keys(), ...now.keys()]);
  return [...names].filter((name) => before.get(name) !== now.get(name));
}

/** What holds of both. */
function joined(before: Said, now: Said, applied: ReadonlySet<string>): Said {
  const kept = [...before].filter(([name]) => !applied.has(name));
  return new Map([...kept, ...[...now].filter(([name]) => applied.has(name))]);
}
