// A node: the ledger as a validator shows it over JSON-RPC, as far behind and as far finalized as the node is.

import bs58 from 'bs58';
import { Failure, invalid, sentence } from './failure.mjs';
import { bytesOf, decodeMessage, decodeTransaction, feeOf, instructionAsJSON, messageAsJSON } from './transaction.mjs';

// A validator that is further behind than this says that it is not healthy.
const HEALTHY_DISTANCE = 128;
// Signatures older than this many slots are found in the history only, and that has to be asked for.
const STATUS_CACHE = 300;
const FEE_SLOTS = 150;
const MAX_ADDRESSES = 100;
const MAX_SIGNATURES = 256;
const MAX_DATA_58 = 128;
// The rent epoch of an account that pays no rent is the largest u64, which JSON.stringify cannot write.
export const NO_RENT_EPOCH = '@u64max';

export class Node {
  // confirmedAfter and finalizedAfter: the age of a block, in slots, from which it counts as such.
  constructor(ledger, { confirmedAfter, finalizedAfter }) {
    this.ledger = ledger;
    this.confirmedAfter = confirmedAfter;
    this.finalizedAfter = finalizedAfter;
    this.lag = 0;
    this.drop = 0; // how many transactions more the node takes and loses
  }

  get tip() {
    return this.ledger.slot - this.lag;
  }

  // The newest slot under a commitment.
  view(options) {
    const depth = { processed: 0, confirmed: this.confirmedAfter, finalized: this.finalizedAfter }[options?.commitment ?? 'finalized'];
    if (depth === undefined) throw invalid(`Invalid params: unknown variant \`${options.commitment}\`, expected one of \`processed\`, \`confirmed\`, \`finalized\``);
    const slot = this.tip - depth;
    if (options?.minContextSlot > slot) throw new Failure(-32016, 'Minimum context slot has not been reached', { contextSlot: slot });
    return slot;
  }

  call(method, params) {
    if (!Object.hasOwn(METHODS, method)) throw new Failure(-32601, 'Method not found');
    if (!Array.isArray(params)) throw invalid('`params` should be an array');
    return METHODS[method](this, ...params);
  }

  checkHealth() {
    if (this.lag > HEALTHY_DISTANCE) {
      throw new Failure(-32005, `Node is behind by ${this.lag} slots`, { numSlotsBehind: this.lag });
    }
  }

  statusOf(slot) {
    if (slot <= this.tip - this.finalizedAfter) return 'finalized';
    return slot <= this.tip - this.confirmedAfter ? 'confirmed' : 'processed';
  }
}

const inContext = (slot, value) => ({ context: { apiVersion: '2.1.0', slot }, value });

export function address(text) {
  let bytes;
  try {
    bytes = bs58.decode(text);
  } catch {
    throw invalid('Invalid param: Invalid');
  }
  if (bytes.length !== 32) throw invalid('Invalid param: WrongSize');
  return text;
}

function signature(text) {
  let bytes;
  try {
    bytes = bs58.decode(text);
  } catch {
    throw invalid('Invalid param: Invalid');
  }
  if (bytes.length !== 64) throw invalid('Invalid param: WrongSize');
  return text;
}

function wholeNumber(value, what) {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(`Invalid params: ${what} is not a whole number`);
  return value;
}

export function accountAsJSON(account, options) {
  if (!account) return null;
  let { data } = account;
  if (options?.dataSlice) {
    const { offset, length } = options.dataSlice;
    data = data.subarray(wholeNumber(offset, 'the offset'), offset + wholeNumber(length, 'the length'));
  }
  // jsonParsed falls back to base64 for owners that have no parser; here none has.
  const encoding = options?.encoding ?? 'binary';
  if (encoding.startsWith('bi') || encoding === 'base58') {
    if (data.length > MAX_DATA_58) throw new Failure(-32600, 'Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.');
  } else if (encoding !== 'base64' && encoding !== 'jsonParsed') {
    throw invalid(`Invalid params: this chain does not have the encoding ${encoding}`);
  }
  const text = { binary: () => bs58.encode(data), base58: () => [bs58.encode(data), 'base58'] }[encoding]?.() ?? [data.toString('base64'), 'base64'];
  return { data: text, executable: account.executable, lamports: account.lamports, owner: account.owner, rentEpoch: NO_RENT_EPOCH, space: account.data.length };
}

const returnDataAsJSON = (returned) => returned && { programId: returned.programId, data: [returned.data.toString('base64'), 'base64'] };

const innerAsJSON = (inner) =>
  (inner ?? []).flatMap((all, index) =>
    all.length > 0 ? [{ index, instructions: all.map((one) => instructionAsJSON(one, one.stackHeight)) }] : [],
  );

const statusAsJSON = (err) => (err === null ? { Ok: null } : { Err: err });

function transactionAsJSON(record, options) {
  const encoding = options?.encoding ?? 'json';
  const { tx } = record;
  let transaction;
  if (encoding === 'base64' || encoding === 'base58') {
    if (!tx.bytes) throw invalid(`Invalid params: this chain does not have transactions of version ${tx.message.version} in the encoding ${encoding}`);
    transaction = [encoding === 'base64' ? tx.bytes.toString('base64') : bs58.encode(tx.bytes), encoding];
  } else if (encoding === 'json') {
    transaction = { signatures: tx.signatures, message: messageAsJSON(tx.message) };
  } else {
    throw invalid(`Invalid params: this chain does not have the encoding ${encoding}`);
  }
  const { version } = tx.message;
  if (version !== 'legacy' && !(version <= options?.maxSupportedTransactionVersion)) {
    throw new Failure(-32015, `Transaction version (${version}) is not supported by the requesting client. Please try the request again with the following configuration parameter: "maxSupportedTransactionVersion": ${version}`);
  }
  const meta = {
    err: record.err, status: statusAsJSON(record.err), fee: record.fee, preBalances: record.before, postBalances: record.after,
    innerInstructions: innerAsJSON(record.inner), logMessages: record.logs, preTokenBalances: [], postTokenBalances: [], rewards: [],
    loadedAddresses: { readonly: [], writable: [] }, computeUnitsConsumed: record.units,
    ...(record.returned ? { returnData: returnDataAsJSON(record.returned) } : {}),
  };
  return { transaction, meta, ...(options?.maxSupportedTransactionVersion !== undefined ? { version } : {}) };
}

function blockOf(node, slot, options) {
  if (options?.commitment === 'processed') throw invalid('Method does not support commitment below `confirmed`');
  if (wholeNumber(slot, 'the slot') > node.view(options)) throw new Failure(-32004, `Block not available for slot ${slot}`);
  const block = node.ledger.block(slot);
  if (!block) throw new Failure(-32001, `Block ${slot} cleaned up, does not exist on node. First available block: ${node.ledger.firstSlot}`);
  return block;
}

function slotsBetween(node, first, last, options) {
  if (options?.commitment === 'processed') throw invalid('Method does not support commitment below `confirmed`');
  const end = Math.min(last, node.view(options));
  const slots = [];
  for (let slot = Math.max(wholeNumber(first, 'the slot'), node.ledger.firstSlot); slot <= end; slot++) slots.push(slot);
  return slots;
}

const METHODS = {
  getHealth(node) {
    node.checkHealth();
    return 'ok';
  },
  getVersion: () => ({ 'feature-set': 0, 'solana-core': '2.1.0' }),
  getIdentity: (node) => ({ identity: node.ledger.genesis }),
  getGenesisHash: (node) => node.ledger.genesis,
  getSlot: (node, options) => node.view(options),
  getBlockHeight: (node, options) => node.ledger.height(node.view(options)),
  getFirstAvailableBlock: (node) => node.ledger.firstSlot,
  getTransactionCount: (node, options) => node.view(options),

  getEpochInfo(node, options) {
    const slot = node.view(options);
    return { absoluteSlot: slot, blockHeight: node.ledger.height(slot), epoch: 0, slotIndex: slot, slotsInEpoch: 432_000, transactionCount: slot };
  },

  getLatestBlockhash(node, options) {
    const slot = node.view(options);
    return inContext(slot, { blockhash: node.ledger.block(slot).hash, lastValidBlockHeight: node.ledger.lastValidHeight(slot) });
  },

  isBlockhashValid(node, hash, options) {
    const slot = node.view(options);
    return inContext(slot, node.ledger.takesHash(hash, slot));
  },

  getAccountInfo(node, key, options) {
    const slot = node.view(options);
    return inContext(slot, accountAsJSON(node.ledger.account(address(key), slot), options));
  },

  getMultipleAccounts(node, keys, options) {
    if (!Array.isArray(keys)) throw invalid('Invalid params: the addresses are no array');
    if (keys.length > MAX_ADDRESSES) throw invalid(`Too many inputs provided; max ${MAX_ADDRESSES}`);
    const slot = node.view(options);
    return inContext(slot, keys.map((key) => accountAsJSON(node.ledger.account(address(key), slot), { encoding: 'base64', ...options })));
  },

  getProgramAccounts(node, program, options) {
    const slot = node.view(options);
    const all = node.ledger.programAccounts(address(program)).map((pubkey) => ({ pubkey, account: accountAsJSON(node.ledger.account(pubkey, slot), options) }));
    const found = all.filter(({ account }) => account);
    return options?.withContext ? inContext(slot, found) : found;
  },

  getBalance(node, key, options) {
    const slot = node.view(options);
    return inContext(slot, node.ledger.account(address(key), slot)?.lamports ?? 0);
  },

  getMinimumBalanceForRentExemption: (node, bytes) => node.ledger.rent(wholeNumber(bytes, 'the size')),

  getFeeForMessage(node, text, options) {
    const slot = node.view(options);
    const message = decodeMessage(bytesOf(text, 'base64', 'the message'));
    return inContext(slot, node.ledger.takesHash(message.recentBlockhash, slot) ? feeOf(message).fee : null);
  },

  simulateTransaction(node, text, options = {}) {
    const tx = decodeTransaction(bytesOf(text, options.encoding ?? 'base58', 'the transaction'));
    if (options.sigVerify && options.replaceRecentBlockhash) throw invalid('sigVerify may not be used with replaceRecentBlockhash');
    const slot = node.view(options);
    const run = node.ledger.simulate(tx, { slot, verify: options.sigVerify === true, checkHash: !options.replaceRecentBlockhash });
    if (options.sigVerify && run.err === 'SignatureFailure') throw new Failure(-32003, 'Transaction signature verification failure');
    const replacement = options.replaceRecentBlockhash
      ? { blockhash: node.ledger.block(slot).hash, lastValidBlockHeight: node.ledger.lastValidHeight(slot) }
      : null;
    return inContext(slot, {
      accounts: simulatedAccounts(node, run, slot, options.accounts),
      err: run.err,
      innerInstructions: options.innerInstructions ? innerAsJSON(run.inner) : null,
      logs: run.logs,
      replacementBlockhash: replacement,
      returnData: returnDataAsJSON(run.returned),
      unitsConsumed: run.units,
    });
  },

  sendTransaction(node, text, options = {}) {
    const tx = decodeTransaction(bytesOf(text, options.encoding ?? 'base58', 'the transaction'));
    if (!options.skipPreflight) {
      node.checkHealth();
      const slot = node.view({ commitment: options.preflightCommitment, minContextSlot: options.minContextSlot });
      const run = node.ledger.simulate(tx, { slot, verify: true, checkHash: true });
      if (run.err === 'SignatureFailure') throw new Failure(-32003, 'Transaction signature verification failure');
      if (run.err !== null) {
        throw new Failure(-32002, `Transaction simulation failed: ${sentence(run.err)}`, {
          accounts: null, err: run.err, innerInstructions: null, logs: run.logs, replacementBlockhash: null,
          returnData: returnDataAsJSON(run.returned), unitsConsumed: run.units,
        });
      }
    }
    // The answer says that the node has sent it, and nothing of what becomes of it.
    if (node.drop > 0) node.drop--;
    else node.ledger.execute(tx);
    return tx.signatures[0];
  },

  getSignatureStatuses(node, signatures, options) {
    if (!Array.isArray(signatures)) throw invalid('Invalid params: the signatures are no array');
    if (signatures.length > MAX_SIGNATURES) throw invalid(`Too many inputs provided; max ${MAX_SIGNATURES}`);
    return inContext(node.tip, signatures.map((text) => {
      const record = node.ledger.transaction(signature(text));
      if (!record || record.slot > node.tip) return null;
      if (record.slot < node.tip - STATUS_CACHE && !options?.searchTransactionHistory) return null;
      const confirmationStatus = node.statusOf(record.slot);
      return {
        slot: record.slot, confirmations: confirmationStatus === 'finalized' ? null : node.tip - record.slot,
        status: statusAsJSON(record.err), err: record.err, confirmationStatus,
      };
    }));
  },

  getSignaturesForAddress(node, key, options) {
    if (options?.commitment === 'processed') throw invalid('Method does not support commitment below `confirmed`');
    const slot = node.view(options);
    const limit = options?.limit ?? 1000;
    if (!(limit >= 1 && limit <= 1000)) throw invalid('Invalid limit; max 1000');
    let found = node.ledger.transactionsOf(address(key)).filter((record) => record.slot <= slot).reverse();
    const position = (text) => found.findIndex((record) => record.signature === signature(text));
    if (options?.until && position(options.until) >= 0) found = found.slice(0, position(options.until));
    if (options?.before) found = position(options.before) >= 0 ? found.slice(position(options.before) + 1) : [];
    return found.slice(0, limit).map((record) => ({
      signature: record.signature, slot: record.slot, err: record.err, memo: null, blockTime: record.time,
      confirmationStatus: node.statusOf(record.slot),
    }));
  },

  getTransaction(node, text, config) {
    const options = typeof config === 'string' ? { encoding: config } : config;
    if (options?.commitment === 'processed') throw invalid('Method does not support commitment below `confirmed`');
    const record = node.ledger.transaction(signature(text));
    if (!record?.tx || record.slot > node.view(options)) return null;
    return { slot: record.slot, blockTime: record.time, ...transactionAsJSON(record, options) };
  },

  getBlock(node, slot, config) {
    const options = typeof config === 'string' ? { encoding: config } : config;
    const block = blockOf(node, slot, options);
    const details = options?.transactionDetails ?? 'full';
    const records = block.transactions.filter((record) => record.tx);
    const answer = {
      blockHeight: node.ledger.height(slot), blockTime: block.time, blockhash: block.hash, parentSlot: slot - 1,
      previousBlockhash: node.ledger.block(slot - 1)?.hash ?? node.ledger.genesis,
    };
    if (details === 'full') answer.transactions = records.map((record) => transactionAsJSON(record, options));
    else if (details === 'signatures') answer.signatures = records.map((record) => record.signature);
    else if (details !== 'none') throw invalid(`Invalid params: this chain does not have transactionDetails ${details}`);
    if (options?.rewards !== false) answer.rewards = [];
    return answer;
  },

  getBlockTime: (node, slot) => blockOf(node, slot, { commitment: 'confirmed' }).time,
  getBlocks(node, first, last, options) {
    return typeof last === 'object' ? slotsBetween(node, first, Infinity, last) : slotsBetween(node, first, last ?? Infinity, options);
  },
  getBlocksWithLimit: (node, first, limit, options) => slotsBetween(node, first, first + wholeNumber(limit, 'the limit') - 1, options),

  getRecentPrioritizationFees(node, named) {
    const keys = named ?? [];
    keys.forEach(address);
    const fees = [];
    const least = (records) => (records.length > 0 ? Math.min(...records.map((record) => record.price)) : 0);
    for (let slot = Math.max(node.ledger.firstSlot, node.tip - FEE_SLOTS + 1); slot <= node.tip; slot++) {
      const records = node.ledger.block(slot).transactions.filter((record) => record.tx);
      // What it took to be in the block, and to write each of the accounts: one that nobody wrote adds nothing.
      const each = keys.map((key) => least(records.filter((record) => record.writable.includes(key))));
      fees.push({ slot, prioritizationFee: Math.max(least(records), ...each) });
    }
    return fees;
  },

  requestAirdrop: (node, key, lamports) => node.ledger.airdrop(address(key), wholeNumber(lamports, 'the number of lamports')),
};

function simulatedAccounts(node, run, slot, asked) {
  if (!asked) return null;
  if (run.err !== null) return asked.addresses.map(() => null);
  return asked.addresses.map((key) =>
    accountAsJSON(run.accounts.get(address(key)) ?? node.ledger.account(key, slot), { encoding: asked.encoding ?? 'base64' }),
  );
}
