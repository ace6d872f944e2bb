import type { Command } from 'commander';

const WIDTH = 100;

/** Every command with its help, as Markdown. */
export function formatCommands(program: Command): string {
  return everyCommand(program)
    .map((command) => `## ${nameOf(command)}\n\n\`\`\`text\n${helpOf(command)}\`\`\`\n`)
    .join('\n');
}

/** The program and everything below it, but for `help` and what completion scripts call. */
export function everyCommand(command: Command): Command[] {
  const below = command.createHelp().visibleCommands(command);
  return [command, ...below.filter((one) => one.name() !== 'help').flatMap(everyCommand)];
}

/** What `--help` prints. */
export function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => (text += part),
    getOutHelpWidth: () => WIDTH,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text;
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}
