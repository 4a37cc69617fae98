// works.js - the works W1 to W4 and W6 with a harness of our own, for machines without the folder of
// peers: data made here, programs on loopback, limits that node can measure. Results have the form of
// the other harness, as far as bench.js reads them.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const zlib = require('node:zlib');

function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

// Deterministic, so that runs can be compared.
function generator(seed) {
  let state = seed >>> 0;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 0x100000000 * bound);
  };
}

function makeRow(i) {
  const next = generator(42 + i * 7919);
  const pick = (...words) => words[next(words.length)];
  const hex = (digits) => Array.from({ length: digits }, () => next(16).toString(16)).join('');
  const first = pick('Anna', 'Boris', 'Carla', 'David', 'Elena', 'Fedor', 'Grace', 'Irina');
  const last = pick('Abramov', 'Bennett', 'Castro', 'Dvorak', 'Ivanov', 'Jensen', 'Novak', 'Rossi');
  const company = pick('Northwind', 'Contoso', 'Fabrikam', 'Globex', 'Initech', 'Umbrella');
  const words = Array.from({ length: 14 }, () => pick('call', 'back', 'invoice', 'paid', 'late',
    'prefers', 'email', 'morning', 'delivery', 'contract', 'renewal', 'discount', 'order', 'visit'));
  return {
    id: `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`,
    name: `${first} ${last}`, company: `${company} ${pick('Trading', 'Foods', 'Group')} ${next(997)}`,
    email: `${first}.${last}${next(9973)}@${company}.example.com`.toLowerCase(),
    phone: `+7 9${next(90) + 10} ${next(900) + 100}-${next(90) + 10}-${next(90) + 10}`,
    street: `${next(250) + 1} ${pick('Main', 'Oak', 'Market', 'River')} street, apt ${next(400) + 1}`,
    city: pick('Moscow', 'Kazan', 'Berlin', 'Paris', 'Madrid', 'Warsaw', 'Prague', 'Oslo'),
    zip: String(next(900000) + 100000), country: pick('RU', 'DE', 'FR', 'ES', 'PL', 'CZ'),
    balance: next(20000000) - 5000000, rating: next(100), updated_at: 1760000000000 + next(2 ** 31),
    notes: words.join(' '),
  };
}

function makeData(file, count) {
  const out = fs.openSync(file, 'w');
  for (let i = 0; i < count; i++) {
    fs.writeSync(out, `${JSON.stringify(makeRow(i))}\n`);
  }
  fs.closeSync(out);
}

// A program that answers each line on stdin with a JSON line; ended by its own id.
class Agent {
  constructor(name, command, args) {
    this.waiting = [];
    this.early = [];
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
      let answer;
      try {
        answer = JSON.parse(line);
      } catch {
        return;
      }
      const first = this.waiting.shift();
      if (first) {
        first.resolve(answer);
      } else {
        this.early.push(answer);
      }
    });
    this.ended = new Promise((resolve) => this.process.on('exit', (code) => {
      this.waiting.forEach((one) => one.reject(new Error(`${name} ended with ${code}`)));
      resolve();
    }));
    this.ready = this.wait();
  }

  wait() {
    return this.early.length ? Promise.resolve(this.early.shift())
      : new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  call(line) {
    const answer = this.wait();
    this.process.stdin.write(`${line}\n`);
    return answer;
  }

  kill() {
    this.process.kill('SIGTERM');
    return this.ended;
  }
}

function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

// Until `to` shows what `from` writes, in ms.
async function change(from, to, what) {
  const seen = to.call(`watch ${what}`);
  const edit = await from.call(`edit ${what}`);
  return (await seen).t - edit.t0;
}

async function offlineEdits(a, b) {
  await a.call('offline');
  await b.call('offline');
  await a.call('edit 0 5000 1 phone A');
  await a.call('edit 5000 5000 1 notes A');
  await b.call('edit 0 5000 1 city B');
  await b.call('edit 5000 5000 1 notes B');
  const start = now();
  await a.call('sync');
  await b.call('sync');
  await a.call('sync');
  const seconds = (now() - start) / 1e3;
  const [x, y] = [await a.call('hash'), await b.call('hash')];
  return { sync_s: seconds, converged: x.hash === y.hash, survA: await a.call('surv') };
}

// One run of all works for a peer ({server(folder, port), client(name, folder, port)}).
async function run(peer, folder, port, count) {
  const place = (name) => {
    fs.mkdirSync(path.join(folder, name), { recursive: true });
    return path.join(folder, name);
  };
  const server = peer.server(place('s'), port);
  await server.ready;
  const a = peer.client('A', place('a'), port);
  const agents = [a];
  try {
    await a.ready;
    await a.call(`load ${count}`);
    const push = await a.call('push');
    const b = peer.client('B', place('b'), port);
    agents.push(b);
    await b.ready;
    const pull = await b.call('pull');
    const [x, y] = [await a.call('hash'), await b.call('hash')];
    await a.call('live');
    await b.call('live');
    const stride = Math.floor((count - 3) / 1000);
    const many = [];
    for (let i = 0; i < 3; i++) {
      many.push({ visible_ms: await change(a, b, `${i} 1000 ${stride} phone T3${i}`) });
    }
    const single = [];
    for (let i = 0; i < 500; i++) {
      single.push(await change(a, b, `${(20000 + i * 7) % count} 1 1 phone T4.${i}`));
    }
    return {
      W1: { rows_s: count / push.ms * 1e3 }, W2: { rows_s: count / pull.ms * 1e3 },
      eq_after_W2: [x.hash === y.hash, x.count, y.count], W3: many,
      W4: { p50_ms: quantile(single, 0.5), p99_ms: quantile(single, 0.99) },
      W6: await offlineEdits(a, b),
    };
  } finally {
    for (const one of [...agents, server]) {
      await one.kill();
    }
  }
}

// ---- limits ----

function syncTime(folder) {
  const file = path.join(folder, 'sync.bin');
  const out = fs.openSync(file, 'w');
  const page = Buffer.alloc(4096, 1);
  const times = [];
  for (let i = 0; i < 200; i++) {
    const start = now();
    fs.writeSync(out, page);
    fs.fdatasyncSync(out);
    times.push(now() - start);
  }
  fs.closeSync(out);
  fs.rmSync(file);
  return quantile(times, 0.5);
}

function roundTrip() {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => socket.setNoDelay(true).pipe(socket));
    server.listen(0, '127.0.0.1', () => {
      const times = [];
      const client = net.connect(server.address().port, '127.0.0.1').setNoDelay(true);
      let start = 0;
      const send = () => {
        start = now();
        client.write('x');
      };
      client.on('connect', send).on('error', reject).on('data', () => {
        times.push(now() - start);
        if (times.length < 2000) {
          send();
        } else {
          client.destroy();
          server.close(() => resolve(quantile(times, 0.5)));
        }
      });
    });
  });
}

async function limits(folder, data) {
  const sample = fs.readFileSync(data).subarray(0, 8 << 20);
  const start = now();
  const small = zlib.deflateSync(sample, { level: 1 });
  const seconds = (now() - start) / 1e3;
  return `append 4 KiB + fdatasync, median: ${syncTime(folder).toFixed(3)} ms
loopback round trip in node, median: ${(await roundTrip()).toFixed(3)} ms
deflate level 1: ${(sample.length / seconds / 1e6).toFixed(0)} MB/s, ratio ${
  (small.length / sample.length).toFixed(2)}`;
}

module.exports = { Agent, limits, makeData, now, quantile, run };
