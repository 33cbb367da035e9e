const pending = new Set<() => void>();
let listening = false;

/** What still has to be done when the process exits. One listener for all, however many outputs come and go. */
export const onExit = {
  add(run: () => void): void {
    pending.add(run);
    if (listening) return;
    listening = true;
    process.on('exit', () => {
      for (const each of pending) each();
    });
  },
  delete(run: () => void): void {
    pending.delete(run);
  },
};
