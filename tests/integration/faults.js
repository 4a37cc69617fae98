// faults.js - one run: a headquarters, clients of workload.js behind a proxy.js, and everything that goes
// wrong with networks, processes and clocks meanwhile; then peace, and the checkers. All choices come from
// the seed; the timing does not, so a seed replays the plan, not each interleaving.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const lib = require('./lib.js');
const { Proxy } = require('./proxy.js');
const { History, load } = require('./history.js');
const { checkAll } = require('./checkers.js');
const { stream } = require('./random.js');
const { Client, prepare, stateOf, READ } = require('./workload.js');

const HOUR_MS = 3600 * 1000;
const LOGINS = ['anna', 'bert', 'carl'];

// A program's wall clock, which the test shifts while it runs.
class Clock {
  constructor(folder, name, shim) {
    this.file = path.join(folder, `${name}.clock`);
    this.env = { LD_PRELOAD: shim, SATCHEL_TEST_CLOCK: this.file };
    fs.writeFileSync(this.file, Buffer.alloc(8));
    this.shifts = 0;
  }

  shift(ms) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.trunc(ms)));
    const fd = fs.openSync(this.file, 'r+'); // in place: it is mapped
    fs.writeSync(fd, bytes, 0, 8, 0);
    fs.closeSync(fd);
    this.shifts++;
  }
}

function buildShim(folder) {
  const shim = path.join(folder, 'clock_shim.so');
  execFileSync(process.env.CC || 'cc', ['-shared', '-fPIC', '-O1', '-o', shim,
    path.join(__dirname, 'clock_shim.c'), '-ldl']);
  return shim;
}

// What happens to the number-th connection.
function faultOf(seed, number) {
  const random = stream(seed, `connection ${number}`);
  const kind = random.weighted({ none: 3, delay: 2, cut: 3, close: 1, stall: 1.5, half: 1.5, throttle: 1,
    dribble: 1, overtake: 2 });
  // A handshake takes about 700 bytes up and 1,700 down; a push or a page rarely more than 10,000.
  const after = random.between(1, random.pick([400, 1500, 4000, 15000]));
  const direction = random.pick(['up', 'down']);
  switch (kind) {
    case 'delay': return { kind, ms: random.between(5, 150), jitter: random.between(0, 100) };
    case 'throttle': return { kind, rate: random.between(4000, 60000) };
    case 'dribble': return { kind, pieces: random.between(100, 3000) };
    case 'overtake': return { kind, after, ms: random.between(300, 3000) };
    case 'stall': return { kind, direction, after, ms: random.between(300, 5000) };
    default: return { kind, direction, after };
  }
}

class Faults {
  constructor({ seed, seconds, devices = 6, say = () => {} }) {
    Object.assign(this, { seed, seconds, say, count: devices, over: false, done: {} });
  }

  async setUp() {
    this.folder = lib.temporaryFolder('faults');
    const shim = buildShim(this.folder);
    this.serverClock = new Clock(this.folder, 'hq', shim);
    const server = new lib.Server(this.folder, { flags: ['--page-rows', '25'], env: this.serverClock.env });
    this.server = server;
    await server.init();
    await server.start();
    await server.must('branch', 'add', 'North');
    for (const login of LOGINS) {
      await server.must('user', 'add', login, '--branch', 'North');
    }
    this.peaceful = false;
    this.proxy = new Proxy(server.port,
      (number) => (this.peaceful ? { kind: 'none' } : faultOf(this.seed, number)), stream(this.seed, 'proxy'));
    this.port = await this.proxy.listen();
    this.histories = path.join(this.folder, 'histories');
    fs.mkdirSync(this.histories);
    this.peaceful = true;
    const names = Array.from({ length: this.count }, (_, i) => `c${i + 1}`);
    const boss = await this.enrol(LOGINS[0], 'boss');
    await prepare(boss, names);
    this.clients = [];
    for (const [i, name] of names.entries()) {
      const clock = new Clock(this.folder, name, shim);
      const device = await this.enrol(LOGINS[i % LOGINS.length], name, clock.env);
      await device.sync();
      this.clients.push(Object.assign(new Client({
        name, device, history: new History(this.histories, name), random: stream(this.seed, name),
        chance: { killWrite: 0.08, killSync: 0.8, stop: 0.5 },
      }), { clock }));
    }
    this.peaceful = false;
  }

  async enrol(login, name, env) {
    const device = new lib.Device(path.join(this.folder, name), { env });
    await device.must('enroll',
      await this.server.ticket(login, '--host', `127.0.0.1:${this.port}`), '--name', name);
    return device;
  }

  // One thing that goes wrong around the clients.
  async wrong(random) {
    const what = random.weighted({ server_kill: 2, server_restart: 1, server_stop: 2, cut: 2, clog: 2,
      client_clock: 3, server_clock: 1 });
    const ms = random.between(100, 2500);
    const shift = Math.round((random() * 2 - 1) * random.pick([5000, HOUR_MS, 24 * HOUR_MS, 5 * 365 * 24 * HOUR_MS]));
    const victim = random.below(this.clients.length);
    this.done[what] = (this.done[what] || 0) + 1;
    switch (what) {
      case 'server_kill':
      case 'server_restart': {
        const result = await this.server.stop(what === 'server_kill' ? 'SIGKILL' : 'SIGTERM');
        if (what === 'server_restart' && result.code !== 0) {
          throw new Error(`satcheld did not stop in order: ${result.code ?? result.signal} ${result.err}`);
        }
        await lib.sleep(Math.min(ms, 500));
        await this.server.start();
        break;
      }
      case 'server_stop':
        this.server.job.kill('SIGSTOP');
        await lib.sleep(ms);
        this.server.job.kill('SIGCONT');
        break;
      case 'cut': this.proxy.cutAll(); break;
      case 'clog':
        this.proxy.clog();
        await lib.sleep(ms);
        this.proxy.unclog();
        break;
      case 'client_clock': this.clients[victim].clock.shift(shift); break;
      default: this.serverClock.shift(shift / 10); break;
    }
  }

  async trouble() {
    const random = stream(this.seed, 'trouble');
    while (!this.over) {
      await lib.sleep(random.between(200, 2500));
      if (!this.over) {
        await this.wrong(random);
      }
    }
  }

  async run() {
    const end = lib.sleep(this.seconds * 1000).then(() => {
      this.over = true;
      this.clients.forEach((client) => { client.over = true; });
    });
    const all = await Promise.allSettled([this.trouble(), end, ...this.clients.map((c) => c.run())]);
    const failed = all.find((one) => one.status === 'rejected');
    if (failed) {
      throw failed.reason;
    }
  }

  // Peace: everything is exchanged. Returns { place: state }.
  async settle() {
    this.peaceful = true;
    this.proxy.cutAll();
    if (!this.server.job || this.server.job.ended) {
      throw new Error(`satcheld ended by itself: ${this.server.job?.err}`);
    }
    const devices = this.clients.map((client) => client.device);
    await lib.settle(...devices);
    const finals = { hq: stateOf(await this.server.sql(READ)) };
    for (const client of this.clients) {
      await client.read();
      finals[client.name] = stateOf(await client.device.sql(READ));
      client.history.close();
    }
    return finals;
  }

  // What the programs themselves say in the end; violations as texts.
  async statements() {
    const problems = this.clients.flatMap((c) => c.failures.map((text) => `${c.name}: ${text}`));
    for (const client of this.clients) {
      const status = await client.device.json('status');
      if (status.saved_here !== 0 || status.parked !== 0 || status.attention !== 0) {
        problems.push(`${client.name}: in the end there is something left: ${JSON.stringify(status)}`);
      }
    }
    const verified = await this.server.run('verify');
    if (verified.code !== 0) {
      problems.push(`satcheld verify: ${verified.out}${verified.err}`);
    }
    return problems;
  }

  summary() {
    const total = {};
    for (const client of this.clients) {
      for (const [name, count] of Object.entries(client.counts)) {
        total[name] = (total[name] || 0) + count;
      }
    }
    return { ...total, connections: this.proxy.accepted, hits: this.proxy.stats.hits, ...this.done };
  }

  async close() {
    this.clients?.forEach((client) => { client.over = true; });
    await this.proxy?.close();
    await this.server?.kill();
  }
}

// Runs it all. { problems: { checker: [text] }, summary, operations, folder }
async function runFaults(options) {
  const faults = new Faults(options);
  try {
    await faults.setUp();
    await faults.run();
    const finals = await faults.settle();
    const histories = load(faults.histories);
    const problems = checkAll(histories, finals);
    const said = await faults.statements();
    if (said.length) {
      problems.statements = said;
    }
    return { problems, summary: faults.summary(), folder: faults.folder, finals,
      operations: Object.values(histories).flat().length };
  } finally {
    await faults.close();
  }
}

module.exports = { runFaults };
