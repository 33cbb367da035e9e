/** Says which processes live on this machine: what a process holds is free when it is dead, however it died. */
export interface FileLocks {
  /** Null: somebody else holds it. The file is made when there is none. Rejects when it cannot be. */
  take(path: string): HeldLock | null;
}

export interface HeldLock {
  /** Also removes the file. */
  release(): void;
}
