export const EXIT_OK = 0;
/** Something failed: the gateway does not answer, refused the key, could not start. */
export const EXIT_FAILED = 1;
/** Wrong settings, flags or arguments; every problem was listed. */
export const EXIT_WRONG_USE = 2;
