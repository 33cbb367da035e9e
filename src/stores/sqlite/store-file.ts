/** In the data folder. In a file of its own: whether there is a store is asked without loading what opens it. */
export const STORE_FILE = 'swarmrouter.db';
