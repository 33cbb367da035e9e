import { flagOf, SETTING_GROUPS, SETTING_LIST, type Setting, yamlKeyOf } from '../../src/config/schema.ts';
import { ROUTE_FIELDS } from '../../src/config/yaml-routes.ts';
import { TARGET_FIELDS } from '../../src/config/yaml-targets.ts';
import { generatedNote, markdownTable } from './markdown.ts';

const INTRODUCTION = `# Settings

Every setting can be given in four places. The earlier in this list, the stronger:

1. the command line: \`swarmrouter start --max-retries 5\`
2. the environment: \`SWARMROUTER_MAX_RETRIES=5\`
3. the file \`.env\` in the working folder: the same names. Quotes, \`#\` comments and \`export\` are understood; nothing is expanded.
4. the file \`swarmrouter.yaml\` in the working folder (or where \`SWARMROUTER_CONFIG\` says): \`max_retries: 5\`

An empty value counts as unset. The names follow from each other: \`SWARMROUTER_MAX_RETRIES\` is \`--max-retries\` and \`max_retries\`, \`LMSTUDIO_URL\` is \`--lmstudio-url\` and \`lmstudio_url\`. A secret may be written as \`env:NAME\` (another variable holds it) or \`file:/path\` (a file holds it) in any of them; on the command line others on the machine can see it, so prefer those two there.

\`swarmrouter check\` shows what is in force, where it came from, and every problem at once. With a problem the gateway does not start and exits with code 2.

A changed \`.env\`, \`swarmrouter.yaml\` or file that holds a key (\`file:/path\`) counts within seconds, without a restart: it is read and checked whole, and put in force all at once. With any problem the old configuration stays, and \`swarmrouter status\` says why. \`swarmrouter reload\`, \`POST /admin/reload\` and the signal SIGHUP do the same at once. Requests that are running end as they began. Settings that need a restart say so below; \`swarmrouter status\` names those that wait for one.`;

const YAML_EXAMPLE = `## swarmrouter.yaml

Besides the keys above, the file takes what variables cannot say well: a list of targets, the model aliases, and [prices](../operations/prices.md#setting-a-price) (\`prices\`, \`local_rates\`).

\`\`\`yaml
max_retries: 2

aliases:
  gpt-4o: qwen2.5-7b-instruct
  fast: openrouter/openai/gpt-4o-mini

targets:
  - name: gpu-box
    kind: lm-studio
    url: http://192.168.1.20:1234
    max_concurrent: 8
  - name: den
    kind: auto
    url: http://192.168.1.30:8080
  - name: groq
    kind: openai-compatible
    url: https://api.groq.com/openai/v1
    api_key: env:GROQ_API_KEY
    default_model: llama-3.3-70b-versatile
    first_byte_timeout: 20
\`\`\`

Routes give a name to a way of treating requests; a client chooses one with \`x-swarmrouter-route\`. The name of a strategy is a route too.

\`\`\`yaml
routes:
  sturdy:
    stream_recovery: continue
\`\`\`

An unknown key is an error that names the nearest known one. Times are in seconds. The fields of a target:`;

/** docs/reference/settings.md */
export function settingsPage(): string {
  const groups = SETTING_GROUPS.map((group) => {
    const settings = SETTING_LIST.filter(([, setting]) => setting.group === group).map(([, setting]) => setting);
    return `## ${group}\n\n${markdownTable(['Setting', 'What it does', 'Allowed', 'Default'], settings.map(settingRow))}`;
  });
  const fields = Object.entries(TARGET_FIELDS).map(([name, { kind, doc }]) => [`\`${name}\``, doc, kind.allowed]);
  const targets = markdownTable(['Field', 'What it says', 'Allowed'], fields);
  const routeFields = Object.entries(ROUTE_FIELDS).map(([name, { kind, doc }]) => [`\`${name}\``, doc, kind.allowed]);
  const routes = `The fields of a route:\n\n${markdownTable(['Field', 'What it says', 'Allowed'], routeFields)}`;
  const note = generatedNote('src/config/schema.ts');
  return `${[note, INTRODUCTION, ...groups, YAML_EXAMPLE, targets, routes].join('\n\n')}\n`;
}

function settingRow(setting: Setting<unknown>): string[] {
  const others = [`\`--${flagOf(setting.name)}\``, ...(setting.inYaml ? [`\`${yamlKeyOf(setting.name)}\``] : [])];
  const unit = setting.kind.unit === null || setting.kind.unit === 's' ? '' : ` (${setting.kind.unit})`;
  return [
    `\`${setting.name}\`<br>${others.join('<br>')}`,
    setting.restart ? `${setting.doc} A change needs a restart.` : setting.doc,
    `${setting.kind.allowed}${unit}`,
    setting.defaultDoc.startsWith('unset: ') ? setting.defaultDoc : `\`${setting.defaultDoc}\``,
  ];
}
