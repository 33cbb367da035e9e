import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** A key and its certificate, as TLS servers want them. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
}

export interface Authority extends Identity {
  /** A certificate signed by it, for one host name. */
  issue(hostName: string, validity?: Validity): Identity;
}

interface Validity {
  readonly from: Date;
  readonly until: Date;
}

const DAY_MS = 86_400_000;
const NOW: Validity = { from: new Date(Date.now() - DAY_MS), until: new Date(Date.now() + DAY_MS) };
/** It ended a year ago. */
export const EXPIRED: Validity = {
  from: new Date(Date.now() - 730 * DAY_MS),
  until: new Date(Date.now() - 365 * DAY_MS),
};

// Certificates are made here, not by a tool or from files: no key lies about, and none runs out.

export function createAuthority(): Authority {
  const pair = keyPair();
  const name = 'Test Authority';
  const cert = certificate({
    subject: name,
    issuer: name,
    key: pair.publicKey,
    signer: pair.privateKey,
    validity: NOW,
    hostName: null,
  });
  return {
    ...identity(pair.privateKey, cert),
    issue: (hostName, validity = NOW) => {
      const own = keyPair();
      const signed = {
        subject: hostName,
        issuer: name,
        key: own.publicKey,
        signer: pair.privateKey,
        validity,
        hostName,
      };
      return identity(own.privateKey, certificate(signed));
    },
  };
}

/** Signed by itself alone. */
export function createSelfSigned(hostName: string): Identity {
  const { publicKey, privateKey } = keyPair();
  const cert = certificate({
    subject: hostName,
    issuer: hostName,
    key: publicKey,
    signer: privateKey,
    validity: NOW,
    hostName,
  });
  return identity(privateKey, cert);
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

function identity(key: KeyObject, cert: Buffer): Identity {
  const lines = cert
    .toString('base64')
    .match(/.{1,64}/g)
    ?.join('\n');
  return {
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}

interface Signed {
  readonly subject: string;
  readonly issuer: string;
  readonly key: KeyObject;
  readonly signer: KeyObject;
  readonly validity: Validity;
  /** Null: an authority. */
  readonly hostName: string | null;
}

// X.509 version 3 in DER (RFC 5280, X.690): tag, length, content.

function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const [BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OID, UTF8, UTC_TIME, SEQUENCE, SET] = [
  0x01, 0x02, 0x03, 0x04, 0x06, 0x0c, 0x17, 0x30, 0x31,
] as const;

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const ECDSA_WITH_SHA256 = der(SEQUENCE, der(OID, hex('2a8648ce3d040302')));
const COMMON_NAME = der(OID, hex('550403'));
const SUBJECT_ALT_NAME = der(OID, hex('551d11'));
const BASIC_CONSTRAINTS = der(OID, hex('551d13'));
const TRUE = der(BOOLEAN, hex('ff'));

function certificate({ subject, issuer, key, signer, validity, hostName }: Signed): Buffer {
  const extension =
    hostName === null
      ? der(SEQUENCE, BASIC_CONSTRAINTS, TRUE, der(OCTET_STRING, der(SEQUENCE, TRUE)))
      : der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTET_STRING, der(SEQUENCE, der(0x82, Buffer.from(hostName)))));
  const body = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, hex('02'))),
    der(INTEGER, Buffer.concat([hex('01'), crypto.getRandomValues(new Uint8Array(8))])),
    ECDSA_WITH_SHA256,
    nameOf(issuer),
    der(SEQUENCE, timeOf(validity.from), timeOf(validity.until)),
    nameOf(subject),
    key.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, extension)),
  );
  return der(SEQUENCE, body, ECDSA_WITH_SHA256, der(BIT_STRING, hex('00'), sign('sha256', body, signer)));
}

const nameOf = (name: string): Buffer =>
  der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8, Buffer.from(name)))));

/** `YYMMDDhhmmssZ` */
const timeOf = (time: Date): Buffer =>
  der(UTC_TIME, Buffer.from(`${time.toISOString().replaceAll(/[-T:]/g, '').slice(2, 14)}Z`));
