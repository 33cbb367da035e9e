import { closeSync, openSync } from 'node:fs';

/**
 * SIGHUP means two things: that the terminal was closed, and, sent by an operator, that the configuration is to be read
 * anew. Answers which. A process that a service manager or `nohup` started has no terminal to lose.
 */
export function watchTerminal(): () => boolean {
  const isWatchedByAPerson = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  if (!isWatchedByAPerson) return () => false;
  // Windows sends it for nothing else, and has no such file.
  return process.platform === 'win32' ? () => true : () => !hasTerminal();
}

/** The terminal of the session, wherever the output goes. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
