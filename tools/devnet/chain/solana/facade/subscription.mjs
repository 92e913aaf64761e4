// Subscriptions of one WebSocket connection. A subscription is told of a change when the change has the commitment that it
// asked for.

import { Failure, invalid } from './failure.mjs';
import { accountAsJSON, address } from './node.mjs';

const KINDS = ['account', 'logs', 'root', 'signature', 'slot'];

let nextId = 0;

export class Subscriptions {
  #node;
  #send;
  #all = new Map(); // id -> look: a function that sends what is new

  // send takes a notification as an object.
  constructor(node, send) {
    this.#node = node;
    this.#send = send;
  }

  handles(method) {
    return KINDS.some((kind) => method === `${kind}Subscribe` || method === `${kind}Unsubscribe`);
  }

  call(method, params) {
    if (method.endsWith('Unsubscribe')) {
      if (!this.#all.delete(params[0])) throw invalid('Invalid subscription id.');
      return true;
    }
    const id = ++nextId;
    const kind = method.slice(0, -'Subscribe'.length);
    const notify = (result) => this.#send({ jsonrpc: '2.0', method: `${kind}Notification`, params: { result, subscription: id } });
    const look = this[`_${kind}`](notify, id, ...params);
    this.#all.set(id, look);
    return id;
  }

  // Sends what is new. Call it when a slot began, or when something changed within one.
  look() {
    for (const look of [...this.#all.values()]) look();
  }

  _slot(notify) {
    let last = this.#node.tip;
    return () => {
      for (; last < this.#node.tip; ) {
        last++;
        notify({ parent: last - 1, root: last - this.#node.finalizedAfter, slot: last });
      }
      last = Math.min(last, this.#node.tip);
    };
  }

  _root(notify) {
    let last = this.#node.view();
    return () => {
      if (this.#node.view() !== last) notify((last = this.#node.view()));
    };
  }

  _account(notify, _id, key, options) {
    const { ledger } = this.#node;
    let last = ledger.account(address(key), this.#node.view(options));
    accountAsJSON(last, options); // refuses options of no sense
    return () => {
      const slot = this.#node.view(options);
      const account = ledger.account(key, slot);
      if (account === last) return;
      last = account;
      // Subscribers get an account that has gone as one without lamports and data.
      const shown = account ?? { lamports: 0, data: Buffer.alloc(0), owner: '1'.repeat(32), executable: false };
      notify({ context: { slot }, value: accountAsJSON(shown, options) });
    };
  }

  _logs(notify, _id, filter, options) {
    const mentioned = filter?.mentions;
    if (mentioned ? mentioned.length !== 1 : !['all', 'allWithVotes'].includes(filter)) {
      throw invalid('Invalid Request: Only 1 address supported');
    }
    if (mentioned) address(mentioned[0]);
    const next = this.#landing(options, (record) => !mentioned || record.addresses.includes(mentioned[0]));
    return () => {
      for (const record of next()) {
        notify({ context: { slot: record.slot }, value: { signature: record.signature, err: record.err, logs: record.logs } });
      }
    };
  }

  _signature(notify, id, text, options) {
    if (typeof text !== 'string') throw new Failure(-32602, 'Invalid param: Invalid');
    const look = () => {
      const slot = this.#node.view(options);
      const record = this.#node.ledger.transaction(text);
      if (!record || record.slot > slot) return;
      this.#all.delete(id);
      notify({ context: { slot }, value: { err: record.err } });
    };
    setImmediate(() => this.#all.has(id) && look()); // it may be there already, but the id has to be told first
    return look;
  }

  // The transactions of the blocks that reach the commitment, each once.
  #landing(options, wanted) {
    let seen = this.#node.view(options);
    let taken = new Set(this.#recordsOf(seen)); // of the slot seen last, which may still grow
    return () => {
      const found = [];
      const slot = this.#node.view(options);
      for (; seen <= slot; seen++) {
        for (const record of this.#recordsOf(seen)) {
          if (taken.has(record)) continue;
          taken.add(record);
          if (record.tx && wanted(record)) found.push(record);
        }
        if (seen === slot) break;
        taken = new Set();
      }
      return found;
    };
  }

  #recordsOf(slot) {
    return this.#node.ledger.block(slot)?.transactions ?? [];
  }
}
