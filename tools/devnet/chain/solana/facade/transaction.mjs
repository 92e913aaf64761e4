// Transactions as they travel: signatures, message, instructions, and the fee that they ask to pay.

import bs58 from 'bs58';
import { invalid } from './failure.mjs';

const PACKET = 1232; // bytes of a transaction at most: an IPv6 packet of 1280 without its headers
const LAMPORTS_PER_SIGNATURE = 5000n;
const COMPUTE_BUDGET = 'ComputeBudget111111111111111111111111111111';
const UNITS_PER_INSTRUCTION = 200_000n;
const MAX_UNITS = 1_400_000n;

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  take(n) {
    if (this.at + n > this.bytes.length) throw invalid('failed to deserialize solana_transaction::versioned::VersionedTransaction: io error: unexpected end of file');
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
  byte() {
    return this.take(1)[0];
  }
  // Lengths have 7 bits in a byte, the lowest first, in 3 bytes at most.
  length() {
    let n = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const b = this.byte();
      n |= (b & 0x7f) << shift;
      if (!(b & 0x80)) return n;
    }
    throw invalid('failed to deserialize solana_transaction::versioned::VersionedTransaction: a length has more than 3 bytes');
  }
}

// Decodes what a client sent in the encoding that it named.
export function bytesOf(text, encoding, what) {
  if (typeof text !== 'string') throw invalid(`Invalid params: ${what} is not a string`);
  let bytes;
  switch (encoding) {
    case 'base64':
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw invalid(`invalid base64 encoding: Invalid symbol in ${what}`);
      bytes = Buffer.from(text, 'base64');
      break;
    case 'base58':
      try {
        bytes = Buffer.from(bs58.decode(text));
      } catch (err) {
        throw invalid(`invalid base58 encoding: ${err.message}`);
      }
      break;
    default:
      throw invalid(`unsupported encoding: ${encoding}. Supported encodings: base58, base64`);
  }
  if (bytes.length > PACKET) throw invalid(`decoded ${what} too large: ${bytes.length} bytes (max: ${PACKET} bytes)`);
  return bytes;
}

export function decodeTransaction(bytes) {
  const r = new Reader(bytes);
  const signatures = [];
  for (let n = r.length(); n > 0; n--) signatures.push(bs58.encode(r.take(64)));
  const message = decodeMessage(bytes.subarray(r.at));
  if (signatures.length !== message.header.numRequiredSignatures || signatures.length === 0) {
    throw invalid('invalid transaction: Transaction failed to sanitize accounts offsets correctly');
  }
  return { bytes, signatures, message };
}

export function decodeMessage(bytes) {
  const r = new Reader(bytes);
  let version = 'legacy';
  if (bytes[0] & 0x80) {
    version = r.byte() & 0x7f;
    if (version !== 0) throw invalid(`failed to deserialize solana_transaction::versioned::VersionedTransaction: version ${version} is not supported`);
  }
  const header = { numRequiredSignatures: r.byte(), numReadonlySignedAccounts: r.byte(), numReadonlyUnsignedAccounts: r.byte() };
  const accountKeys = [];
  for (let n = r.length(); n > 0; n--) accountKeys.push(bs58.encode(r.take(32)));
  const recentBlockhash = bs58.encode(r.take(32));
  const instructions = [];
  for (let n = r.length(); n > 0; n--) {
    const programIdIndex = r.byte();
    const accounts = [...r.take(r.length())];
    const data = r.take(r.length());
    if ([programIdIndex, ...accounts].some((i) => i >= accountKeys.length) && version === 'legacy') {
      throw invalid('invalid transaction: Transaction failed to sanitize accounts offsets correctly');
    }
    instructions.push({ programIdIndex, accounts, data });
  }
  if (version === 0 && r.length() > 0) throw invalid('this chain has no address lookup tables');
  if (r.at !== bytes.length) throw invalid(`failed to deserialize solana_transaction::versioned::VersionedTransaction: ${bytes.length - r.at} bytes too many`);
  return { version, header, accountKeys, recentBlockhash, instructions };
}

export function isWritable(message, i) {
  const { numRequiredSignatures: signed, numReadonlySignedAccounts: readSigned, numReadonlyUnsignedAccounts: readUnsigned } = message.header;
  return i < signed ? i < signed - readSigned : i < message.accountKeys.length - readUnsigned;
}

// Price in micro-lamports for a unit, limit in units, and the fee in lamports, as the message asks for. One of version 1 says
// how many lamports it offers in all.
export function feeOf(message) {
  if (message.version === 1) {
    const { priorityFee, computeUnitLimit } = message.transactionConfig;
    const limit = BigInt(computeUnitLimit);
    const price = limit > 0n ? (BigInt(priorityFee) * 1_000_000n) / limit : 0n;
    return { price, limit, fee: Number(LAMPORTS_PER_SIGNATURE) + priorityFee };
  }
  let price = 0n;
  let limit;
  let others = 0n;
  for (const { programIdIndex, data } of message.instructions) {
    if (message.accountKeys[programIdIndex] !== COMPUTE_BUDGET) {
      others++;
    } else if (data[0] === 2 && data.length === 5) {
      limit = BigInt(data.readUInt32LE(1));
    } else if (data[0] === 3 && data.length === 9) {
      price = data.readBigUInt64LE(1);
    }
  }
  limit ??= others * UNITS_PER_INSTRUCTION;
  if (limit > MAX_UNITS) limit = MAX_UNITS;
  const priority = (price * limit + 999_999n) / 1_000_000n;
  return { price, limit, fee: Number(BigInt(message.header.numRequiredSignatures) * LAMPORTS_PER_SIGNATURE + priority) };
}

// The message as a validator writes it under the encoding "json".
export function messageAsJSON(message) {
  return {
    ...(message.version === 0 ? { addressTableLookups: [] } : {}),
    header: message.header,
    accountKeys: message.accountKeys,
    recentBlockhash: message.recentBlockhash,
    instructions: message.instructions.map((one) => instructionAsJSON(one)),
    ...(message.version === 1 ? { transactionConfig: { ...message.transactionConfig, heapSize: null, loadedAccountsDataSizeLimit: null } } : {}),
  };
}

export const instructionAsJSON = ({ programIdIndex, accounts, data }, stackHeight = null) => ({
  programIdIndex,
  accounts,
  data: bs58.encode(data),
  stackHeight,
});
