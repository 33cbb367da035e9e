import { addressRanges } from '../address-ranges.ts';
import { adminKey, hostName, integer, listOf, seconds, text } from '../setting-kinds.ts';
import { optional, setting } from './setting.ts';

const hosts = listOf(hostName, 'host list', 'host names without ports, separated by commas');

/** What the gateway itself is and takes. */
export const SERVER = {
  host: setting('SWARMROUTER_HOST', hostName, '127.0.0.1', {
    restart: true,
    group: 'Server',
    doc: 'Address to listen on. Anything but loopback needs SWARMROUTER_ADMIN_KEY or a client key.',
  }),
  port: setting('SWARMROUTER_PORT', integer(0, 65_535), '8000', {
    restart: true,
    group: 'Server',
    doc: 'Port to listen on; 0 takes any free one.',
  }),
  allowedHosts: optional('SWARMROUTER_ALLOWED_HOSTS', hosts, 'unset: localhost and loopback addresses', {
    restart: true,
    group: 'Server',
    doc: 'Further names that a request may carry in `Host` while the gateway listens on loopback (behind a reverse proxy, for instance).',
    example: 'ai.example.com',
  }),
  trustedProxies: optional('SWARMROUTER_TRUSTED_PROXIES', addressRanges, 'unset: `X-Forwarded-For` is not looked at', {
    restart: true,
    group: 'Server',
    doc: 'Reverse proxies whose `X-Forwarded-For` is believed: addresses and networks, as they connect to the gateway. A client is then the rightmost address there that is none of them; wrong logins, slow bodies and the audit log are counted and told by it. Whoever can connect from one of these addresses can say to be anybody.',
    example: '127.0.0.1,10.0.0.0/8',
  }),
  adminKey: optional('SWARMROUTER_ADMIN_KEY', adminKey, 'unset: made at first start and kept in the data folder', {
    restart: true,
    group: 'Server',
    doc: 'Key for `/admin/*`, at least 16 characters. Make it with `openssl rand -hex 32`.',
  }),
  dataDir: optional('SWARMROUTER_DATA_DIR', text('a folder', 'folder'), "unset: the platform's user data folder", {
    restart: true,
    group: 'Server',
    doc: 'Where the gateway keeps its admin key and the providers added at run time.',
    example: '~/.local/share/swarmrouter',
  }),
  maxBodyMegabytes: setting('SWARMROUTER_MAX_BODY_MB', integer(1, 1024, 'MB'), '32', {
    restart: true,
    group: 'Server',
    doc: 'Largest request body accepted.',
  }),
  bodyTimeoutMs: setting('SWARMROUTER_BODY_TIMEOUT', seconds(0.1, 3600), '20', {
    restart: true,
    group: 'Clocks',
    doc: 'How long the body of a request may take to come; of one above 256 KiB, or in chunks, each 16 KiB that came earn it one second more.',
  }),
  slowBodyLimit: setting('SWARMROUTER_SLOW_BODY_LIMIT', integer(1, 100_000), '64', {
    restart: true,
    group: 'Server',
    doc: 'Request bodies of one key (of one address where no key is needed) that may be under way at once for more than a second; more are refused with 429.',
  }),
  maxMemoryMegabytes: optional(
    'SWARMROUTER_MAX_MEMORY_MB',
    integer(64, 1_048_576, 'MB'),
    'unset: 3/4 of the memory there is',
    {
      restart: true,
      group: 'Server',
      doc: 'Above this much memory of the process new inference requests are refused with 503.',
      example: '2048',
    },
  ),
  maxLoopLagMs: setting('SWARMROUTER_MAX_LOOP_LAG', seconds(0.01, 60), '0.5', {
    restart: true,
    group: 'Server',
    doc: 'While everything the process does comes late by more than this, new inference requests are refused with 503.',
  }),
  configFile: optional(
    'SWARMROUTER_CONFIG',
    text('the path of a YAML file', 'file'),
    'unset: swarmrouter.yaml in the working folder, if it is there',
    {
      group: 'Server',
      doc: 'The YAML file with what variables cannot say well.',
      example: 'swarmrouter.yaml',
      inYaml: false,
    },
  ),
} as const;
