import { Command } from 'commander';
import type { Io } from './io.ts';

interface JwksOptions {
  readonly config: string;
}

/** Prints what assertions are verified with. */
export function jwksCommand(io: Io): Command {
  return new Command('jwks')
    .description(
      'Print the keys that verify assertions to applications, as a JWK Set, from authz.assertion.keyFile.',
    )
    .requiredOption('--config <file>', 'configuration file (YAML) with a section authz.assertion')
    .addHelpText('after', '\nExamples:\n  trustplane authz jwks --config authz.yaml > jwks.json')
    .action(async (options: JwksOptions) => {
      const [{ loadConfig }, { loadAssertionJwks }] = await Promise.all([
        import('../app/load-config.ts'),
        import('../app/load-assertion-jwks.ts'),
      ]);
      const { config } = loadConfig(options, io.uid, io.env);
      io.out(`${await loadAssertionJwks(config)}\n`);
    });
}
