/** What the gateway tells of by the way of its API, and which command does the same. */
const COMMANDS: Readonly<Record<string, string>> = {
  'GET aliases': 'aliases list',
  'GET audit/verify': 'audit verify',
  'GET budgets': 'budgets list',
  'GET decisions': 'decisions',
  'GET keys': 'keys list',
  'GET limits': 'limits list',
  'GET prices': 'prices list',
  'GET routes': 'routes list',
  'GET status': 'status',
  'GET tokens': 'tokens list',
  'GET users': 'users list',
  'PATCH budgets': 'budgets update',
  'PATCH keys': 'keys update',
  'PATCH providers': 'providers update',
  'POST providers': 'providers add',
};

/** `PATCH /admin/budgets/bud_1`; a dot behind it ends the sentence. */
const WAY = /\b(GET|PATCH|POST) \/admin\/(audit\/verify|[a-z]+)(?:\/([\w-]+(?:\.[\w-]+)*|\{\w+\}))?/g;

/** A message of the gateway for somebody who types commands. What no command does is told as it was. */
export function asCommands(message: string): string {
  return message.replace(WAY, (way: string, method: string, resource: string, id: string | undefined) => {
    const command = COMMANDS[`${method} ${resource}`];
    if (command === undefined) return way;
    const which = id === undefined ? '' : ` ${id.startsWith('{') ? 'ID' : id}`;
    return `"swarmrouter ${command}${which}"`;
  });
}
