// proxy.js - a TCP proxy on loopback between real clients and a real server, that does to the bytes what
// networks do. It sees TLS only, so it can lose, hold and cut bytes, but forge none.
//
// Each connection that it accepts gets a fault, { kind, ... }, from the function that it was given:
//
//   none
//   delay     { ms, jitter }             each piece arrives so much later, in order
//   cut       { direction, after }       exactly so many bytes pass, then both sides are reset
//   close     { direction, after }       the same, but ended politely
//   stall     { direction, after, ms }   after so many bytes this direction stands still; the other goes on.
//                                        After ms what was held arrives after all
//   half      { direction, after }       the end of this direction, while the other stays open
//   throttle  { rate }                   bytes per second, both ways, in pieces of at most 256
//   dribble   { pieces }                 the first so many bytes one at a time
//   overtake  { after, ms }              the client's side is reset after so many bytes up, the server's is
//                                        not told; what the client had sent beyond that arrives ms later, when
//                                        its next connection is long at work: two live sessions of one device
//
// direction: 'up' is from the client to the server. clog() holds everything of all connections, new ones
// included, unclog() lets it go on; nothing is lost by that.
'use strict';
const net = require('node:net');

const HELD_MAX = 8 << 20; // of one direction; then its source is no longer read

// A reset, at once. socket.resetAndDestroy() ends the socket politely first, and if that takes a moment no
// reset follows; this is what it does after that. proxy.test.js would tell if node changed it.
function reset(socket) {
  // In the moment of an end libuv refuses a reset (EINVAL), and node never closes the handle then.
  socket.resetAndClosing = !socket.connecting && socket.writableEnded === socket.writableFinished;
  socket.destroy();
}

// One direction of a connection: a queue of pieces with the times at which they may go.
class Pipe {
  constructor(connection, name, from, to) {
    Object.assign(this, { connection, name, from, to, queue: [], held: 0, passed: 0, timer: null,
      stalled: false, ended: false, limit: Infinity, atLimit: null });
    from.on('data', (data) => this.take(data));
    from.on('end', () => { this.put(null); });
  }

  get fault() { return this.connection.fault; }

  take(data) {
    this.held += data.length;
    if (this.held > HELD_MAX) {
      this.from.pause();
    }
    const size = this.fault.kind === 'throttle' ? 256 : data.length;
    for (let at = 0; at < data.length;) {
      const dribbles = this.fault.kind === 'dribble' && this.passed + at < this.fault.pieces;
      const piece = data.subarray(at, at + (dribbles ? 1 : size));
      this.put(piece);
      at += piece.length;
    }
  }

  put(piece) {
    const fault = this.fault;
    const now = performance.now();
    let due = now;
    if (fault.kind === 'delay') {
      due = now + fault.ms + this.connection.random() * (fault.jitter || 0);
    } else if (fault.kind === 'throttle' && piece) {
      due = Math.max(now, this.free || 0);
      this.free = due + piece.length / fault.rate * 1000;
    }
    const last = this.queue[this.queue.length - 1];
    this.queue.push({ piece, due: last ? Math.max(due, last.due) : due });
    this.run();
  }

  run() {
    const connection = this.connection;
    clearTimeout(this.timer);
    this.timer = null;
    while (this.queue.length && !this.stalled && !connection.proxy.clogged && !this.ended) {
      const { piece, due } = this.queue[0];
      const wait = due - performance.now();
      if (wait > 0.5) {
        this.timer = setTimeout(() => this.run(), wait);
        return;
      }
      this.queue.shift();
      if (piece) {
        this.pass(piece);
      } else if (!this.to.destroyed) {
        this.ended = true;
        this.to.end();
      }
    }
  }

  // Exactly `limit` bytes pass in all; the rest of the piece goes back to the front of the queue.
  pass(piece) {
    const room = this.limit - this.passed;
    const now = piece.length <= room ? piece : piece.subarray(0, room);
    if (now.length) {
      if (!this.to.destroyed) {
        this.to.write(now);
      }
      this.passed += now.length;
      this.held -= now.length;
      this.connection.proxy.stats[this.name] += now.length;
      if (this.held < HELD_MAX / 2) {
        this.from.resume();
      }
    }
    if (now.length < piece.length) {
      this.queue.unshift({ piece: piece.subarray(now.length), due: 0 });
    }
    if (this.passed >= this.limit) {
      this.limit = Infinity;
      this.atLimit();
    }
  }

  stall(ms, then) {
    this.stalled = true;
    this.connection.later(ms, () => {
      this.stalled = false;
      if (then) {
        then();
      }
      this.run();
    });
  }
}

class Connection {
  constructor(proxy, client, number, fault) {
    Object.assign(this, { proxy, client, number, fault, timers: new Set(), random: proxy.random, hit: false });
    this.server = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true,
      localAddress: proxy.localAddress });
    for (const socket of [client, this.server]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    this.up = new Pipe(this, 'up', client, this.server);
    this.down = new Pipe(this, 'down', this.server, client);
    client.on('close', (failed) => this.gone(client, this.server, failed));
    this.server.on('close', (failed) => this.gone(this.server, client, failed));
    this.arm();
  }

  later(ms, then) {
    const timer = setTimeout(() => { this.timers.delete(timer); then(); }, ms);
    this.timers.add(timer);
  }

  arm() {
    const { fault } = this;
    const pipe = fault.direction === 'down' ? this.down : this.up;
    const act = {
      cut: () => this.reset(),
      close: () => { this.client.end(); this.server.end(); pipe.ended = true; },
      stall: () => pipe.stall(fault.ms),
      half: () => { pipe.ended = true; pipe.to.end(); },
      overtake: () => {
        this.overtaken = true;
        reset(this.client);
        this.up.stall(fault.ms, () => this.later(fault.ms, () => reset(this.server)));
      },
    }[fault.kind];
    if (act) {
      pipe.limit = Math.max(1, fault.after);
      pipe.atLimit = () => {
        this.hit = true;
        this.proxy.stats.hits[fault.kind] = (this.proxy.stats.hits[fault.kind] || 0) + 1;
        act();
      };
    } else if (fault.kind !== 'none') {
      this.proxy.stats.hits[fault.kind] = (this.proxy.stats.hits[fault.kind] || 0) + 1;
    }
  }

  // Nothing more passes; both sides are reset.
  reset() {
    this.up.ended = this.down.ended = true;
    reset(this.client);
    reset(this.server);
  }

  // One side is gone altogether: so is the other, except where a fault is that it is not told.
  gone(which, other, failed) {
    if (which === this.client && this.overtaken && !this.server.destroyed) {
      return;
    }
    if (failed && !other.destroyed) {
      reset(other);
    }
    if (this.client.destroyed && this.server.destroyed) {
      this.forget();
    }
  }

  forget() {
    for (const timer of [...this.timers, this.up.timer, this.down.timer]) {
      clearTimeout(timer);
    }
    this.proxy.connections.delete(this);
  }

  destroy() {
    this.client.destroy();
    this.server.destroy();
    this.forget();
  }
}

class Proxy {
  // faultOf(number): the fault of the number-th connection, from 0. localAddress: what the server sees.
  constructor(port, faultOf = () => ({ kind: 'none' }), random = Math.random, localAddress = undefined) {
    Object.assign(this, { port, faultOf, random, localAddress, connections: new Set(), clogged: false, accepted: 0,
      stats: { up: 0, down: 0, hits: {} } });
    this.listener = net.createServer({ allowHalfOpen: true }, (client) => {
      const number = this.accepted++;
      this.connections.add(new Connection(this, client, number, this.faultOf(number)));
    });
  }

  // On a port that stays the same for good: devices know it.
  listen() {
    return new Promise((resolve, reject) => {
      this.listener.on('error', reject);
      this.listener.listen(0, '127.0.0.1', () => resolve(this.listener.address().port));
    });
  }

  clog() {
    this.clogged = true;
  }

  unclog() {
    this.clogged = false;
    for (const connection of this.connections) {
      connection.up.run();
      connection.down.run();
    }
  }

  // Everything that is connected is reset at once.
  cutAll() {
    for (const connection of [...this.connections]) {
      connection.reset();
      connection.forget();
    }
  }

  close() {
    for (const connection of [...this.connections]) {
      connection.destroy();
    }
    return new Promise((resolve) => this.listener.close(resolve));
  }
}

module.exports = { Proxy };
