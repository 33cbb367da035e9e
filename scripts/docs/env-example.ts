import { SETTING_GROUPS, SETTING_LIST, type Setting } from '../../src/config/schema.ts';

const WIDTH = 100;

/** Every setting, commented out, so that the file starts unedited when it is copied to `.env`. */
export function envExample(): string {
  const head = [
    '# Settings of SwarmRouter. Copy this file to .env and uncomment what you need; every line is optional.',
    '# The environment is stronger than .env, the command line is stronger than both; an empty value counts as unset.',
    '# What each setting does in full: docs/reference/settings.md. What is in force: npx swarmrouter check',
  ];
  const groups = SETTING_GROUPS.map((group) => {
    const settings = SETTING_LIST.filter(([, setting]) => setting.group === group);
    return [`# ---- ${group} ----`, ...settings.map(([, setting]) => settingLines(setting))].join('\n');
  });
  return `${[head.join('\n'), ...groups].join('\n\n')}\n`;
}

function settingLines(setting: Setting<unknown>): string {
  const unit = setting.kind.unit === null ? '' : ` [${setting.kind.unit}]`;
  const usual = setting.defaultDoc.startsWith('unset: ') ? setting.defaultDoc : `Default: ${setting.defaultDoc}`;
  const doc = wrap(`${setting.doc}${unit} ${capitalise(usual)}.`.replace(/`/g, ''));
  return [...doc.map((line) => `# ${line}`), `#${setting.name}=${setting.example}`].join('\n');
}

function wrap(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
