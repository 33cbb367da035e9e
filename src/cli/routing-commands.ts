import { Argument, type Command, Option } from 'commander';
import { STRATEGY_NAMES } from '../core/strategy-names.ts';
import { ADAPTER_KINDS } from '../core/target.ts';
import { type AddRun, examples, json, wantsJson } from './command-parts.ts';
import { CLOCK_FLAGS, type ProviderFlags } from './provider-flags.ts';
import { addProvider, listProviders, removeProvider, showProvider, updateProvider } from './providers.ts';
import { reload } from './reload.ts';
import type { JsonFlag } from './reply-text.ts';
import { listAliases, listRoutes, type RouteFlags, removeAlias, removeRoute, setAlias, setRoute } from './routing.ts';
import type { Terminal } from './terminal.ts';

const KINDS = [...ADAPTER_KINDS, 'auto', 'azure', 'lmstudio', 'llamacpp'];

/** Where requests go, changed while the gateway runs. */
export function addRoutingCommands(program: Command, terminal: Terminal, add: AddRun): void {
  addReload(program, terminal, add);
  addProviders(program.command('providers').description('model servers and clouds, without a restart'), terminal, add);
  addAliases(program.command('aliases').description('names that stand for another model'), terminal, add);
  addRoutes(
    program.command('routes').description('ways to treat a request, which it may choose by name'),
    terminal,
    add,
  );
}

function addReload(program: Command, terminal: Terminal, add: AddRun): void {
  const command = program
    .command('reload')
    .description('have the running gateway read its configuration anew; with any problem it keeps the old one')
    .option('--json', 'as JSON');
  add(command, (client) => reload(client, terminal, wantsJson(command)));
}

function addProviders(providers: Command, terminal: Terminal, add: AddRun): void {
  examples(
    providers,
    'providers add lm-studio --name studio --base-url http://192.168.1.20:1234 --max-concurrent 4',
    'providers add openrouter                  # asks for the key',
    'providers update studio --max-concurrent none',
    'providers remove studio',
  );
  const list = json(
    providers.command('list', { isDefault: true }).description('every target in force, where it comes from, how it is'),
  );
  add(list, (client) => listProviders(client, terminal, list.opts<JsonFlag>()));

  const show = json(
    providers.command('show').description('one of them, with all its settings').argument('<name>', 'its name'),
  );
  add(show, (client) => showProvider(client, terminal, String(show.args[0]), show.opts<JsonFlag>()));

  const adding = providers
    .command('add')
    .description('add one, or replace that of its name; it stays over restarts')
    .addArgument(new Argument('<kind>', 'what answers there').choices(KINDS));
  settings(adding)
    .option('--name <name>', 'its name (default: lmstudio, ollama, …, openrouter, azure)')
    .option('--verify', 'try it with a free call first');
  examples(
    adding,
    'providers add lm-studio --name studio --base-url http://192.168.1.20:1234',
    'providers add auto --name den --base-url http://192.168.1.40:8080',
    'providers add azure --base-url https://my-resource.openai.azure.com --deployments gpt-4o=my-gpt-4o --api-key env:AZURE_KEY',
    'providers add openai-compatible --name lab --base-url http://192.168.1.50:8080/v1 --network lan --api-key none',
  );
  add(adding, (client) => addProvider(client, terminal, String(adding.args[0]), adding.opts<ProviderFlags>()));

  const update = providers
    .command('update')
    .description('change one that was added at run time; none: back to what is usual')
    .argument('<name>', 'its name');
  settings(update).option('--verify', 'try it with a free call first');
  examples(update, 'providers update studio --max-concurrent 8 --idle-timeout 30', 'providers update lab --api-key -');
  add(update, (client) => updateProvider(client, terminal, String(update.args[0]), update.opts<ProviderFlags>()));

  const remove = json(
    providers.command('remove').description('delete one that was added at run time').argument('<name>', 'its name'),
  );
  add(remove, (client) => removeProvider(client, terminal, String(remove.args[0]), remove.opts<JsonFlag>()));
}

/** What may be said of a provider, at first and later. */
function settings(command: Command): Command {
  command
    .option('--base-url <url>', 'its address (also --endpoint)')
    .addOption(new Option('--endpoint <url>').hideHelp())
    .option(
      '--api-key <key>',
      'the key, env:NAME, file:/path, none, or - to be asked for it (clouds: asked when left out)',
    )
    .addOption(
      new Option(
        '--network <network>',
        'where its address may lie (default: lan for local kinds, else public)',
      ).choices(['public', 'lan']),
    )
    .addOption(
      new Option('--place <place>', 'whether it is one of your own machines').choices(['local', 'cloud', 'none']),
    )
    .option('--max-concurrent <number>', 'requests at once; local ones only')
    .option('--default-model <model>', 'takes names that it does not know (Azure: a deployment)')
    .addOption(new Option('--default-deployment <name>').hideHelp())
    .option('--deployments <map>', 'azure: model=deployment,…')
    .option('--api-version <version>', 'azure: API version of the classic URL form')
    .option('--assemble <true|false>', 'whole replies are assembled from a stream; local ones only')
    .option('--continues-answers <true|false>', 'whether it goes on with an assistant message that stands last')
    .addOption(
      new Option('--on-disconnect <what>', 'clouds: what becomes of an answer whose client left').choices([
        'cancel',
        'drain',
        'none',
      ]),
    );
  for (const [, flag] of CLOCK_FLAGS) command.option(`--${flag} <seconds>`, `its own ${flag.replaceAll('-', ' ')}`);
  return json(command);
}

function addAliases(aliases: Command, terminal: Terminal, add: AddRun): void {
  examples(
    aliases,
    'aliases set gpt-4o qwen2.5-32b-instruct',
    'aliases set cheap openrouter/openai/gpt-4o-mini',
    'aliases remove gpt-4o',
  );
  const list = json(
    aliases.command('list', { isDefault: true }).description('every alias in force, and where it comes from'),
  );
  add(list, (client) => listAliases(client, terminal, list.opts<JsonFlag>()));

  const set = json(
    aliases
      .command('set')
      .description('set what a name stands for; it stays over restarts')
      .argument('<name>', 'what clients ask for')
      .argument('<model>', 'what is asked for in its place; provider/model pins the provider'),
  );
  add(set, (client) => setAlias(client, terminal, String(set.args[0]), String(set.args[1]), set.opts<JsonFlag>()));

  const remove = json(
    aliases.command('remove').description('delete one that was set at run time').argument('<name>', 'its name'),
  );
  add(remove, (client) => removeAlias(client, terminal, String(remove.args[0]), remove.opts<JsonFlag>()));
}

function addRoutes(routes: Command, terminal: Terminal, add: AddRun): void {
  examples(
    routes,
    'routes set quick --strategy fastest --max-first-token-ms 800',
    'routes set sturdy --stream-recovery continue',
    'routes remove quick',
  );
  const list = json(
    routes.command('list', { isDefault: true }).description('every route in force, and where it comes from'),
  );
  add(list, (client) => listRoutes(client, terminal, list.opts<JsonFlag>()));

  const set = json(
    routes
      .command('set')
      .description('set a route, in place of what was set of it; it stays over restarts')
      .argument('<name>', 'what x-swarmrouter-route says')
      .option('--strategy <name>', `${STRATEGY_NAMES.join(' or ')} (default: the gateway's own)`)
      .option('--stream-recovery <off|continue>', "whether broken answers are continued (default: the gateway's own)")
      .option(
        '--max-first-token-ms <number>',
        "how long the first token may take locally (default: the gateway's own)",
      ),
  );
  add(set, (client) => setRoute(client, terminal, String(set.args[0]), set.opts<RouteFlags>()));

  const remove = json(
    routes.command('remove').description('delete one that was set at run time').argument('<name>', 'its name'),
  );
  add(remove, (client) => removeRoute(client, terminal, String(remove.args[0]), remove.opts<JsonFlag>()));
}
