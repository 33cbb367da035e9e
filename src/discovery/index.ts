// Model servers on the network: where to look, who answers, and what to write into swarmrouter.yaml for it.
export { addressesOf, type FindKnown, type KnownServer, knownServers } from './known-servers.ts';
export { type Asked, type Field, readField, USUAL_PORTS } from './places.ts';
export { type Proposal, proposalsFor, yamlOf } from './proposal.ts';
export { type FoundServer, type Progress, scan } from './scan.ts';
