// faults.js - one run: a headquarters, or with it a branch, or a branch below a branch; clients of workload.js behind a
// proxy.js; and everything that goes wrong with networks, processes and clocks meanwhile; then peace, and the checkers. All choices come from
// the seed; the timing does not, so a seed replays the plan, not each interleaving.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const lib = require('./lib.js');
const { Proxy } = require('./proxy.js');
const { Branch, freePort } = require('./branches.js');
const { History, load } = require('./history.js');
const { checkAll } = require('./checkers.js');
const { stream } = require('./random.js');
const { Client, prepare, stateOf, READ } = require('./workload.js');

const HOUR_MS = 3600 * 1000;
const LOGINS = ['anna', 'bert', 'carl'];
const TIERS = ['North', 'Harbour']; // each below the one before, the first below headquarters

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
  // tiers: servers of branches between the clients and headquarters, 0 to 2.
  constructor({ seed, seconds, devices = 6, tiers = 0, say = () => {} }) {
    Object.assign(this, { seed, seconds, say, tiers, count: devices, over: false, done: {} });
  }

  async setUp() {
    this.folder = lib.temporaryFolder('faults');
    const shim = buildShim(this.folder);
    this.serverClock = new Clock(this.folder, 'hq', shim);
    const server = new lib.Server(this.folder, { flags: ['--page-rows', '25'], env: this.serverClock.env });
    this.server = Object.assign(server, { folder: this.folder });
    await server.init();
    await server.start();
    for (const [i, name] of TIERS.entries()) {
      await server.must('branch', 'add', name, ...(i ? ['--parent', TIERS[i - 1]] : []));
    }
    for (const login of LOGINS) {
      await server.must('user', 'add', login, '--branch', this.tiers ? TIERS[this.tiers - 1] : 'North');
    }
    this.peaceful = true;
    this.servers = [server];
    this.proxies = [];
    for (const name of TIERS.slice(0, this.tiers)) {
      await this.openBranch(name);
    }
    if (!this.tiers) {
      this.port = await this.proxyOf(server.port, 'proxy');
    }
    this.histories = path.join(this.folder, 'histories');
    fs.mkdirSync(this.histories);
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

  faults(what) {
    return (number) => (this.peaceful ? { kind: 'none' } : faultOf(`${this.seed} ${what}`, number));
  }

  // In front of a server; the port of its own.
  proxyOf(port, what) {
    const proxy = new Proxy(port, this.faults(what), stream(this.seed, what));
    this.proxies.push(proxy);
    return proxy.listen();
  }

  // Below the one opened before; faults happen on both of its sides.
  async openBranch(name) {
    const port = await freePort();
    const branch = new Branch(this.server, name, { port, front: await this.proxyOf(port, `${name} below`),
      faults: this.faults(name), random: stream(this.seed, name) });
    const above = this.servers.at(-1);
    this.servers.push(branch);
    branch.flags = ['--page-rows', '25'];
    await branch.open();
    await branch.inTouch(); // at headquarters, once
    if (above !== this.server) {
      await branch.below(above);
      await branch.inTouch();
    }
    this.proxies.push(branch.line);
  }

  async enrol(login, name, env) {
    const device = new lib.Device(path.join(this.folder, name), { env });
    await device.must('enroll',
      await this.server.ticket(login, '--host', `127.0.0.1:${this.port || this.server.port}`), '--name', name);
    if (this.tiers && name !== 'boss') {
      await device.sync();
      await this.servers.at(-1).take(device);
    }
    return device;
  }

  // One thing that goes wrong around the clients.
  async wrong(random) {
    const what = random.weighted({ server_kill: 2, server_restart: 1, server_stop: 2, cut: 2, clog: 2,
      client_clock: 3, server_clock: 1 });
    const ms = random.between(100, 2500);
    const shift = Math.round((random() * 2 - 1) * random.pick([5000, HOUR_MS, 24 * HOUR_MS, 5 * 365 * 24 * HOUR_MS]));
    const victim = random.below(this.clients.length);
    const server = random.pick(this.servers);
    const proxy = random.pick(this.proxies);
    this.done[what] = (this.done[what] || 0) + 1;
    switch (what) {
      case 'server_kill':
      case 'server_restart': {
        const result = await server.stop(what === 'server_kill' ? 'SIGKILL' : 'SIGTERM');
        if (what === 'server_restart' && result.code !== 0) {
          throw new Error(`satcheld did not stop in order: ${result.code ?? result.signal} ${result.err}`);
        }
        await lib.sleep(Math.min(ms, 500));
        await server.start();
        break;
      }
      case 'server_stop':
        server.job.kill('SIGSTOP');
        await lib.sleep(ms);
        server.job.kill('SIGCONT');
        break;
      case 'cut': proxy.cutAll(); break;
      case 'clog':
        proxy.clog();
        await lib.sleep(ms);
        proxy.unclog();
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
    this.proxies.forEach((proxy) => proxy.cutAll());
    for (const server of this.servers) {
      if (!server.job || server.job.ended) {
        throw new Error(`satcheld in ${server.data} ended by itself: ${server.job?.err}`);
      }
    }
    const devices = this.clients.map((client) => client.device);
    await lib.settle(...devices);
    if (this.tiers) {
      await this.decided(devices);
      await lib.settle(...devices);
    }
    const finals = { hq: stateOf(await this.server.sql(READ)) };
    for (const client of this.clients) {
      await client.read();
      finals[client.name] = stateOf(await client.device.sql(READ));
      client.history.close();
    }
    return finals;
  }

  // Until headquarters has decided all of it, and everybody knows.
  async decided(devices) {
    for (const branch of this.servers.slice(1)) {
      await branch.inTouch();
    }
    const waiting = async (device) => {
      const status = await device.json('status');
      return status.saved_here + status.at_branch + status.at_server + status.colleagues;
    };
    for (const device of devices) {
      await lib.until(`all of ${device.dir} is decided`, async () =>
        (await device.sync()) && (await waiting(device)) === 0);
    }
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
    for (const server of this.servers) {
      const verified = await server.run('verify');
      if (verified.code !== 0) {
        problems.push(`satcheld verify of ${server.data}: ${verified.out}${verified.err}`);
      }
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
    const hits = {};
    for (const proxy of this.proxies) {
      for (const [kind, count] of Object.entries(proxy.stats.hits)) {
        hits[kind] = (hits[kind] || 0) + count;
      }
    }
    const connections = this.proxies.reduce((sum, proxy) => sum + proxy.accepted, 0);
    return { tiers: this.tiers, ...total, connections, hits, ...this.done };
  }

  async close() {
    this.clients?.forEach((client) => { client.over = true; });
    for (const server of this.servers || []) {
      await server.kill();
      await server.line?.close();
    }
    for (const proxy of this.proxies || []) {
      await proxy.close();
    }
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

module.exports = { runFaults, Clock, buildShim };
