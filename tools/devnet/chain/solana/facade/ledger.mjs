// The ledger: a Solana virtual machine with slots, blockhashes that expire, blocks, signatures that are taken once, and the
// accounts of the past, so that each node can be as far behind as it likes. It knows nothing of JSON-RPC.

import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import bs58 from 'bs58';
import { landed, transactionError } from './failure.mjs';
import { feeOf, isWritable } from './transaction.mjs';

// The inner module is the machine alone; the outer one wraps it for a client library that is of no use here.
const { Account, LiteSvm } = createRequire(import.meta.url)('litesvm/dist/internal.js');

const FIRST_SLOT = 1000;
// On a real chain slots are skipped and heights fall behind; a client that takes one for the other must notice here.
const SLOTS_WITHOUT_BLOCK = 100;
// How many slots of the past are kept, with their blocks, transactions and versions of accounts.
const KEPT = 2000;

export class Ledger extends EventEmitter {
  #svm = new LiteSvm();
  #seed = randomBytes(32);
  #versions = new Map(); // address -> [{slot, account}], ascending
  #slotOfHash = new Map();
  #blocks = new Map();
  #byAddress = new Map(); // address -> transactions, ascending
  #transactions = new Map(); // first signature -> transaction
  #timer;

  // hashWindow: the age in slots at which a blockhash expires.
  constructor({ hashWindow }) {
    super();
    this.setMaxListeners(0);
    this.hashWindow = hashWindow;
    this.slot = FIRST_SLOT - KEPT / 4;
    this.firstSlot = this.slot;
    this.genesis = this.#hash('genesis');
    this.#svm.setBlockhashCheck(false); // the window is kept here
    this.#svm.setTransactionHistory(0n); // so are the signatures
    this.#begin(this.slot);
    this.warp(FIRST_SLOT - this.slot);
  }

  #hash(what) {
    return bs58.encode(createHash('sha256').update(this.#seed).update(String(what)).digest());
  }

  // ---- Slots ----

  // Makes a slot every so many milliseconds; 0: none by itself.
  tick(milliseconds) {
    clearInterval(this.#timer);
    if (milliseconds > 0) this.#timer = setInterval(() => this.warp(1), milliseconds);
  }

  warp(slots) {
    for (let i = 0; i < slots; i++) this.#begin(this.slot + 1);
  }

  #begin(slot) {
    this.slot = slot;
    const hash = this.#hash(slot);
    this.#slotOfHash.set(hash, slot);
    this.#blocks.set(slot, { slot, hash, time: Math.floor(Date.now() / 1000), transactions: [] });
    this.#svm.warpToSlot(BigInt(slot));
    const clock = this.#svm.getClock();
    clock.unixTimestamp = BigInt(Math.floor(Date.now() / 1000));
    this.#svm.setClock(clock);
    this.#forget(slot - KEPT);
    this.emit('slot', slot);
  }

  #forget(slot) {
    const block = this.#blocks.get(slot);
    if (!block) return;
    this.#blocks.delete(slot);
    this.#slotOfHash.delete(block.hash);
    this.firstSlot = slot + 1;
    for (const tx of block.transactions) {
      this.#transactions.delete(tx.signature);
      for (const address of tx.addresses) {
        const rest = this.#byAddress.get(address).filter((other) => other !== tx);
        if (rest.length > 0) this.#byAddress.set(address, rest);
        else this.#byAddress.delete(address);
      }
    }
    if (slot % 100 !== 0) return;
    for (const [address, all] of this.#versions) {
      const oldest = all.findLastIndex((version) => version.slot <= slot);
      if (oldest > 0) this.#versions.set(address, all.slice(oldest));
    }
  }

  height(slot) {
    return slot - SLOTS_WITHOUT_BLOCK;
  }

  slotAtHeight(height) {
    return height + SLOTS_WITHOUT_BLOCK;
  }

  block(slot) {
    return this.#blocks.get(slot);
  }

  // The last height at which a blockhash of the slot is good.
  lastValidHeight(slot) {
    return this.height(slot) + this.hashWindow;
  }

  // Whether a node that has seen the chain up to a slot takes the blockhash.
  takesHash(hash, slot) {
    const made = this.#slotOfHash.get(hash);
    return made !== undefined && made <= slot && slot - made <= this.hashWindow;
  }

  // ---- Accounts ----

  // The account as it stood at the end of a slot: an object that is another one after each change, or null.
  account(address, slot = this.slot) {
    const all = this.#versions.get(address);
    if (!all) return this.#live(address);
    return (all.findLast((version) => version.slot <= slot) ?? all[0]).account;
  }

  #live(address) {
    const account = this.#svm.getAccount(bs58.decode(address));
    if (!account || (account.lamports() === 0n && account.data().length === 0)) return null;
    return {
      lamports: Number(account.lamports()),
      data: Buffer.from(account.data()),
      owner: bs58.encode(account.owner()),
      executable: account.executable(),
    };
  }

  programAccounts(program) {
    return this.#svm.getProgramAccounts(bs58.decode(program)).map((found) => bs58.encode(found.address));
  }

  // Changes accounts by change and keeps what they were.
  #changing(addresses, change) {
    for (const address of addresses) {
      if (!this.#versions.has(address)) this.#versions.set(address, [{ slot: 0, account: this.#live(address) }]);
    }
    const result = change();
    for (const address of addresses) {
      const all = this.#versions.get(address);
      const account = this.#live(address);
      if (same(all.at(-1).account, account)) continue;
      if (all.at(-1).slot === this.slot) all.pop();
      all.push({ slot: this.slot, account });
    }
    return result;
  }

  setAccount(address, { lamports, data, owner, executable }) {
    this.#changing([address], () => {
      this.#svm.setAccount(bs58.decode(address), new Account(BigInt(lamports), data, bs58.decode(owner), executable, 0n));
    });
    this.emit('change', this.slot);
  }

  // Gives lamports to an account as a transaction of the chain's own that nobody can read.
  airdrop(address, lamports) {
    const account = this.account(address) ?? { lamports: 0, data: Buffer.alloc(0), owner: '1'.repeat(32), executable: false };
    this.setAccount(address, { ...account, lamports: account.lamports + lamports });
    const signature = bs58.encode(randomBytes(64));
    this.#record({ signature, addresses: [address], slot: this.slot, err: null, logs: [], fee: 0, units: 0 });
    return signature;
  }

  // Puts a transaction of version 1 into the current block, as somebody else's: it touches nothing but its payer. The machine
  // runs none of that version; what readers of blocks make of one can be tried all the same.
  version1({ priorityFee, computeUnitLimit }) {
    const [payer, program] = [0, 1].map(() => bs58.encode(randomBytes(32)));
    const signature = bs58.encode(randomBytes(64));
    const message = {
      version: 1,
      header: { numRequiredSignatures: 1, numReadonlySignedAccounts: 0, numReadonlyUnsignedAccounts: 1 },
      accountKeys: [payer, program],
      recentBlockhash: this.#blocks.get(this.slot).hash,
      instructions: [{ programIdIndex: 1, accounts: [0], data: Buffer.alloc(0) }],
      transactionConfig: { priorityFee, computeUnitLimit },
    };
    const { fee, price } = feeOf(message);
    this.#record({
      signature, addresses: message.accountKeys, slot: this.slot, err: null, logs: [], fee, units: computeUnitLimit,
      tx: { signatures: [signature], message }, price: Number(price), writable: [payer], before: [fee, 1], after: [0, 1], returned: null, inner: [],
    });
    return signature;
  }

  addProgram(address, program) {
    this.#changing([address], () => this.#svm.addProgram(bs58.decode(address), program));
    this.emit('change', this.slot);
  }

  rent(bytes) {
    return Number(this.#svm.minimumBalanceForRentExemption(BigInt(bytes)));
  }

  // ---- Transactions ----

  transaction(signature) {
    return this.#transactions.get(signature);
  }

  transactionsOf(address) {
    return this.#byAddress.get(address) ?? [];
  }

  // Why a transaction has no chance, as a node sees it that has seen the chain up to a slot, or null.
  #refusal(tx, slot, checkHash) {
    const known = this.#transactions.get(tx.signatures[0]);
    if (known && known.slot <= slot) return 'AlreadyProcessed';
    if (checkHash && !this.takesHash(tx.message.recentBlockhash, slot)) return 'BlockhashNotFound';
    return null;
  }

  // Runs a transaction without effect.
  simulate(tx, { slot, verify, checkHash }) {
    const refusal = this.#refusal(tx, slot, checkHash);
    if (refusal) return { err: refusal, logs: [], units: 0, returned: null, accounts: new Map() };
    this.#svm.setSigverify(verify);
    try {
      const result = tx.message.version === 'legacy' ? this.#svm.simulateLegacyTransaction(tx.bytes) : this.#svm.simulateVersionedTransaction(tx.bytes);
      const accounts = new Map();
      for (const after of result.postAccounts?.() ?? []) {
        const account = after.account();
        accounts.set(bs58.encode(after.address), {
          lamports: Number(account.lamports()),
          data: Buffer.from(account.data()),
          owner: bs58.encode(account.owner()),
          executable: account.executable(),
        });
      }
      return { ...outcome(result), accounts };
    } finally {
      this.#svm.setSigverify(true);
    }
  }

  // Runs a transaction in the current slot. One that is refused leaves no trace, as on any chain.
  execute(tx) {
    if (this.#refusal(tx, this.slot, true)) return;
    const { message } = tx;
    const writable = message.accountKeys.filter((_, i) => isWritable(message, i));
    const balances = () => message.accountKeys.map((address) => this.#live(address)?.lamports ?? 0);
    const before = balances();
    const result = this.#changing(writable, () =>
      tx.message.version === 'legacy' ? this.#svm.sendLegacyTransaction(tx.bytes) : this.#svm.sendVersionedTransaction(tx.bytes),
    );
    const { err, logs, units, returned, inner } = outcome(result);
    const after = balances();
    // A payer that would keep too little after the fee is refused before anything runs, and pays nothing.
    if (err !== null && (!landed(err) || after[0] === before[0])) return;
    const { fee, price } = feeOf(message);
    this.#record({
      signature: tx.signatures[0], addresses: message.accountKeys, slot: this.slot, err, logs, fee, units,
      tx, price: Number(price), writable, before, after, returned, inner,
    });
    this.emit('change', this.slot);
  }

  #record(tx) {
    this.#transactions.set(tx.signature, tx);
    const block = this.#blocks.get(tx.slot);
    tx.time = block.time;
    block.transactions.push(tx);
    for (const address of tx.addresses) {
      const all = this.#byAddress.get(address);
      if (all) all.push(tx);
      else this.#byAddress.set(address, [tx]);
    }
  }
}

function same(a, b) {
  if (a === null || b === null) return a === b;
  return a.lamports === b.lamports && a.owner === b.owner && a.executable === b.executable && a.data.equals(b.data);
}

// What LiteSVM says of a run, whether it went well or not.
function outcome(result) {
  const failed = typeof result.err === 'function';
  const meta = typeof result.meta === 'function' ? result.meta() : result;
  const returned = meta.returnData();
  return {
    err: failed ? transactionError(result.err()) : null,
    logs: meta.logs(),
    units: Number(meta.computeUnitsConsumed()),
    returned: returned.data().length > 0 ? { programId: bs58.encode(returned.programId()), data: Buffer.from(returned.data()) } : null,
    inner: meta.innerInstructions().map((all) =>
      all.map((one) => ({
        stackHeight: one.stackHeight(),
        programIdIndex: one.instruction().programIdIndex(),
        accounts: [...one.instruction().accounts()],
        data: Buffer.from(one.instruction().data()),
      })),
    ),
  };
}
