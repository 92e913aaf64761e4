// Serves a node on a port, over HTTP and over WebSocket, and makes it fail in the ways that nodes fail.

import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { WebSocketServer } from 'ws';
import { Failure, invalid } from './failure.mjs';
import { NO_RENT_EPOCH } from './node.mjs';
import { Subscriptions } from './subscription.mjs';

const MAX_BODY = 50 << 10; // as a validator has it

const PAGE = '<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n';

// What a server can do instead of answering.
const FAULTS = ['down', 'hang', 'garbage', 'html', 'status'];

export class Server {
  #node;
  #methods;
  #http;
  #sockets = new Set();
  #webSockets = new WebSocketServer({ noServer: true });
  #port = 0;
  #fault = {};

  // methods: more than those of the node, by name; each takes its parameters and answers.
  constructor(node, methods = {}) {
    this.#node = node;
    this.#methods = methods;
    const look = () => {
      if (this.#fault.kind) return;
      for (const client of this.#webSockets.clients) client.subscriptions.look();
    };
    node.ledger.on('slot', look);
    node.ledger.on('change', look);
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  get webSocketURL() {
    return `ws://127.0.0.1:${this.#port}`;
  }

  // Takes a free port the first time, and the same one from then on.
  async listen() {
    this.#http = http.createServer((request, response) => this.#request(request, response));
    this.#http.keepAliveTimeout = 60_000;
    this.#http.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    await new Promise((resolve, reject) => {
      this.#http.once('error', reject);
      this.#http.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = this.#http.address().port;
  }

  async #close() {
    const closed = new Promise((resolve) => this.#http.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  // Gives the node a fault, or none. {kind: "lag", slots} and {kind: "drop", transactions} leave the node serving; of the
  // others, {kind: "status", status} answers with a status of HTTP, and what they are is in their names.
  async fail(fault) {
    const { kind, slots = 0, transactions = 0 } = fault ?? {};
    const old = this.#fault;
    if (kind !== undefined && kind !== 'lag' && kind !== 'drop' && !FAULTS.includes(kind)) {
      throw invalid(`there is no fault ${JSON.stringify(kind)}; choose one of lag, drop, ${FAULTS.join(', ')}`);
    }
    this.#node.lag = kind === 'lag' ? slots : 0;
    this.#node.drop = kind === 'drop' ? transactions : 0;
    this.#fault = FAULTS.includes(kind) ? fault : {};
    if (kind === 'down' && old.kind !== 'down') await this.#close();
    else if (kind !== 'down' && old.kind === 'down') await this.listen();
    else if (FAULTS.includes(kind)) for (const client of this.#webSockets.clients) if (kind !== 'hang') client.terminate();
  }

  #request(request, response) {
    const chunks = [];
    let size = 0;
    request.on('data', (chunk) => {
      size += chunk.length;
      if (size <= MAX_BODY) chunks.push(chunk);
    });
    request.on('end', () => {
      switch (this.#fault.kind) {
        case 'hang':
          return; // until the client has enough
        case 'garbage':
          response.setHeader('content-type', 'application/json');
          response.end(randomBytes(200));
          return;
        case 'html':
          response.setHeader('content-type', 'text/html');
          response.end(PAGE);
          return;
        case 'status':
          response.statusCode = this.#fault.status ?? 502;
          response.setHeader('content-type', 'text/html');
          response.end(PAGE);
          return;
      }
      if (request.method === 'GET' && request.url === '/health') {
        response.end(this.#answer({ method: 'getHealth' }).result ?? 'behind');
      } else if (request.method !== 'POST') {
        response.statusCode = 405;
        response.end('Used HTTP Method is not allowed. POST or OPTIONS is required\n');
      } else if (size > MAX_BODY) {
        response.statusCode = 413;
        response.end('Payload Too Large\n');
      } else {
        response.setHeader('content-type', 'application/json; charset=utf-8');
        Promise.resolve(this.#reply(Buffer.concat(chunks), (m) => this.#answer(m))).then((text) => response.end(text));
      }
    });
  }

  #upgrade(request, socket, head) {
    switch (this.#fault.kind) {
      case 'hang':
        return;
      case 'garbage':
        socket.end(randomBytes(200));
        return;
      case 'html':
      case 'status':
        socket.end(`HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: ${PAGE.length}\r\n\r\n${PAGE}`);
        return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (client) => {
      client.subscriptions = new Subscriptions(this.#node, (message) => client.send(write(message)));
      client.on('error', () => client.terminate());
      client.on('message', async (text) => {
        if (this.#fault.kind) return; // a hang
        client.send(await this.#reply(text, (m) => this.#answerTo(client, m)));
      });
    });
  }

  async #reply(text, answer) {
    let message;
    try {
      // Ids are 64 bits wide with some clients, and JSON.parse would round them.
      message = JSON.parse(String(text).replace(/("id"\s*:\s*)(\d{16,})/g, '$1"@id$2"'));
    } catch {
      return write({ jsonrpc: '2.0', error: { code: -32700, message: 'Parse error' }, id: null });
    }
    if (!Array.isArray(message)) return write(await answer(message));
    const answers = [];
    for (const one of message) answers.push(await answer(one));
    return write(answers);
  }

  #answerTo(client, message) {
    const { subscriptions } = client;
    if (!subscriptions.handles(message?.method)) return this.#answer(message);
    return respond(message, (method, params) => subscriptions.call(method, params));
  }

  #answer(message) {
    return respond(message, (method, params) => (Object.hasOwn(this.#methods, method) ? this.#methods[method](...params) : this.#node.call(method, params)));
  }
}

function respond(message, call) {
  const id = message?.id ?? null;
  if (typeof message?.method !== 'string') return { jsonrpc: '2.0', error: { code: -32600, message: 'Invalid request' }, id };
  const failed = (err) => {
    if (!(err instanceof Failure)) console.error(`${message.method}: ${err.stack}`);
    const { code = -32603, message: text, data } = err;
    return { jsonrpc: '2.0', error: { code: err instanceof Failure ? code : -32603, message: err instanceof Failure ? text : 'Internal error', ...(data !== undefined ? { data } : {}) }, id };
  };
  const good = (result) => ({ jsonrpc: '2.0', result, id });
  try {
    const result = call(message.method, message.params ?? []);
    return result instanceof Promise ? result.then(good, failed) : good(result);
  } catch (err) {
    return failed(err);
  }
}

const write = (message) =>
  JSON.stringify(message).replaceAll(`"${NO_RENT_EPOCH}"`, '18446744073709551615').replace(/"@id(\d+)"/g, '$1');
