// `npm run demo`: the router at work, without any server or key. Ends by itself in under 20 seconds.
import { parseArgs } from 'node:util';
import color from 'picocolors';
import { type Answer, ask } from './client.ts';
import { type DemoFleet, startFleet } from './fleet.ts';
import { answerTable } from './table.ts';

const HELP = `Usage: npm run demo [-- --keep] [-- --port N]

Shows local-first routing, streaming, overflow and failover with simulated servers.
  --keep      leaves everything running afterwards, with the gateway on its port (default 8000)
  --port N    port of the gateway (default: 8000 with --keep, else any free one)`;

const say = (text = ''): void => console.log(text);
const headline = (text: string): void => say(`\n${color.bold(text)}`);

function tell(answer: Answer): Answer {
  const where = answer.place === 'local' ? color.green(answer.target) : color.yellow(answer.target);
  const tries = answer.attempts > 1 ? color.dim(` on attempt ${answer.attempts}, the failure was hidden`) : '';
  say(`  ${answer.status === 200 ? '✔' : '✘'} ${where} answered in ${Math.round(answer.durationMs)} ms${tries}`);
  say(color.dim(`      why: ${answer.reason}`));
  return answer;
}

/** Asks all at once, and tells of each as it comes. */
async function together(url: string, questions: readonly string[]): Promise<Answer[]> {
  return Promise.all(questions.map(async (question) => tell(await ask(url, question))));
}

async function untilUp(fleet: DemoFleet, id: string): Promise<void> {
  while (fleet.gateway.targets().find((view) => view.target.id === id)?.health !== 'up') await Bun.sleep(20);
}

async function show(fleet: DemoFleet): Promise<Answer[]> {
  const { url } = fleet.gateway;
  const answers: Answer[] = [];
  headline('1. Local first: every client asks for "gpt-4o", your own machines answer.');
  answers.push(...(await together(url, ['What is a swarm?', 'What is a waggle dance?'])));

  headline('2. Streaming: text comes as it is made.');
  process.stdout.write('  ');
  const streamed = await ask(url, 'Tell me about bees.', (text) => process.stdout.write(color.cyan(text)));
  say();
  answers.push(tell(streamed));

  headline('3. Eight at once on four local slots: the rest overflows to the cloud, in turns.');
  answers.push(
    ...(await together(
      url,
      Array.from({ length: 8 }, (_, n) => `Question ${n + 1} of a burst`),
    )),
  );

  headline('4. The first LM Studio machine dies. Nobody notices.');
  await fleet.nodes.lmstudio.kill();
  say(color.red('  ✂ lmstudio is gone'));
  answers.push(...(await together(url, ['Are you still there?', 'And now?'])));

  headline('5. The second one dies too: the cloud takes over.');
  await fleet.nodes['lmstudio-2'].kill();
  say(color.red('  ✂ lmstudio-2 is gone'));
  for (const question of ['Anybody?', 'Once more?']) answers.push(tell(await ask(url, question)));

  headline('6. They come back, and are used again.');
  await Promise.all([fleet.nodes.lmstudio.revive(), fleet.nodes['lmstudio-2'].revive()]);
  await Promise.all([untilUp(fleet, 'lmstudio'), untilUp(fleet, 'lmstudio-2')]);
  say(color.green('  ✚ the probes found lmstudio and lmstudio-2 again'));
  answers.push(...(await together(url, ['Welcome back!', 'Good to see you.'])));
  return answers;
}

function conclude(answers: readonly Answer[]): boolean {
  headline('Who answered what, and why');
  for (const line of answerTable(answers)) say(line);
  const failed = answers.filter((answer) => answer.status !== 200).length;
  say(
    `\n  ${answers.length} questions, ${answers.length - failed} answered, ${failed} failed. Two machines died on the way.`,
  );
  return failed === 0;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      keep: { type: 'boolean', default: false },
      port: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(HELP);
    return 0;
  }
  const port = Number(values.port ?? (values.keep ? 8000 : 0));
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    console.error(`--port is "${values.port}"; allowed: 0 to 65535.`);
    return 2;
  }
  say('SwarmRouter demo: two simulated LM Studio machines and two simulated cloud providers behind one real gateway.');
  const fleet = await startFleet(port);
  say(color.dim(`  the gateway listens on ${fleet.gateway.url}`));
  const fine = conclude(await show(fleet));
  if (values.keep) await keep(fleet);
  await fleet.stop();
  return fine ? 0 : 1;
}

async function keep(fleet: DemoFleet): Promise<void> {
  say(`\n  Still running. Try it, then press Ctrl-C:\n`);
  say(`  curl ${fleet.gateway.url}/v1/chat/completions -H 'content-type: application/json' \\`);
  say(`    -d '{"model":"gpt-4o","messages":[{"role":"user","content":"Hello"}]}'`);
  await new Promise<void>((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

try {
  process.exit(await main());
} catch (error) {
  const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
  console.error(inUse ? 'The port is in use. Choose another: npm run demo -- --keep --port 8001' : error);
  process.exit(1);
}
