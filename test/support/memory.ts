const SAMPLE_EVERY_MS = 5;

/** Runs `work` and tells by how many megabytes the process grew at most meanwhile. */
export async function growthOf<Result>(work: () => Promise<Result>): Promise<{ result: Result; megabytes: number }> {
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  let peak = before;
  const sample = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  const sampling = setInterval(sample, SAMPLE_EVERY_MS);
  try {
    const result = await work();
    sample();
    return { result, megabytes: (peak - before) / 1_048_576 };
  } finally {
    clearInterval(sampling);
  }
}
