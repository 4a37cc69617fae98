// lib.js - real programs for the integration tests and the demo: a headquarters on loopback, devices
// that enrol with it, and what the tests ask of them. Everything lives in one temporary folder, every
// child is killed by its own id at the end, and every wait has a limit.
'use strict';
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const source = process.env.SATCHEL_SOURCE || path.resolve(__dirname, '../..');
const bin = process.env.SATCHEL_BIN || path.join(source, 'build/dev/bin');
const programs = { satchel: path.join(bin, 'satchel'), satcheld: path.join(bin, 'satcheld') };
const LIMIT_MS = Number(process.env.SATCHEL_LIMIT_MS) || 60000;

const children = new Set();
const folders = new Set();

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Waits until check() gives something that is not false, or fails by name.
async function until(what, check, limit = LIMIT_MS) {
  const end = Date.now() + limit;
  for (;;) {
    const found = await check();
    if (found) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${limit} ms in vain: ${what}`);
    }
    await sleep(20);
  }
}

function temporaryFolder(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `satchel-${name}-`));
  folders.add(folder);
  return folder;
}

// A program under way: its output as text, `done` resolves to { code, signal, out, err }.
function start(program, args, options = {}) {
  const { env, ...rest } = options;
  const child = spawn(programs[program] || program, args, {
    stdio: ['ignore', 'pipe', 'pipe'], ...rest,
    env: { ...process.env, SATCHEL_DIR: '', SATCHELD_DATA: '', ...env },
  });
  const job = { child, out: '', err: '', ended: false };
  children.add(child);
  child.stdout.setEncoding('utf8'); // a character may arrive in two pieces
  child.stderr.setEncoding('utf8');
  child.stdout.on('data', (data) => { job.out += data; });
  child.stderr.on('data', (data) => { job.err += data; });
  job.done = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      children.delete(child);
      job.ended = true;
      resolve({ code, signal, out: job.out, err: job.err });
    });
  });
  job.kill = (signal = 'SIGKILL') => child.kill(signal);
  return job;
}

// Runs a program to its end.
async function run(program, args, options = {}) {
  const { limit = LIMIT_MS, ...rest } = options;
  const job = start(program, args, rest);
  let late = false;
  const timer = setTimeout(() => { late = true; job.kill(); }, limit);
  const result = await job.done;
  clearTimeout(timer);
  if (late) {
    throw new Error(`${program} ${args.join(' ')}: not done within ${limit} ms\n${result.err}`);
  }
  return result;
}

function parse(result, what) {
  try {
    return JSON.parse(result.out);
  } catch (error) {
    throw new Error(`${what}: no JSON (exit ${result.code}): ${result.out.slice(0, 500)}${result.err}`);
  }
}

// Runs and wants exit code 0.
async function must(program, args, options) {
  const result = await run(program, args, options);
  if (result.code !== 0) {
    throw new Error(`${program} ${args.join(' ')}: exit ${result.code ?? result.signal}\n` +
      `${result.err}${result.out}`);
  }
  return result;
}

class Server {
  constructor(folder, options = {}) {
    this.data = path.join(folder, options.name || 'hq');
    this.portFile = `${this.data}.port`;
    this.flags = options.flags || [];
    this.env = options.env;
    this.starts = 0;
  }

  async init(...flags) {
    await must('satcheld', ['init', '--data', this.data, ...flags]);
    return this;
  }

  // Starts, on the port that it had before if it had one: devices know the address.
  async start(...flags) {
    fs.rmSync(this.portFile, { force: true });
    this.job = start('satcheld', ['run', '--data', this.data, '--listen', `127.0.0.1:${this.port || 0}`,
      '--port-file', this.portFile, '--log', 'warning', ...this.flags, ...flags], { env: this.env });
    const job = this.job;
    await until('the server listens', () => {
      if (job.ended) {
        throw new Error(`satcheld run ended: ${job.err}`);
      }
      return fs.existsSync(this.portFile) && job.out.includes('Stop with');
    });
    this.port = Number(fs.readFileSync(this.portFile, 'utf8'));
    this.starts++;
    return this;
  }

  async stop(signal = 'SIGTERM') {
    if (!this.job) {
      return null;
    }
    const job = this.job;
    this.job = null;
    job.kill(signal);
    const timer = setTimeout(() => job.kill(), 20000);
    const result = await job.done;
    clearTimeout(timer);
    return result;
  }

  kill() {
    return this.stop('SIGKILL');
  }

  run(...args) {
    return run('satcheld', [...args, '--data', this.data]);
  }

  must(...args) {
    return must('satcheld', [...args, '--data', this.data]);
  }

  async json(...args) {
    const result = await run('satcheld', [...args, '--data', this.data, '--json']);
    return parse(result, `satcheld ${args.join(' ')}`);
  }

  async sql(text) {
    const answer = await this.json('sql', text);
    if (!Array.isArray(answer)) {
      throw new Error(`satcheld sql: ${answer.message}`);
    }
    return answer;
  }

  async ticket(login, ...flags) {
    const answer = await this.json('enroll', login, ...flags);
    if (!answer.ticket) {
      throw new Error(`no ticket for ${login}: ${answer.message}`);
    }
    return answer.ticket;
  }

  // A new device of the user, enrolled and, unless asked otherwise, synced once.
  async device(login, name, options = {}) {
    const device = new Device(path.join(path.dirname(this.data), name || login), options);
    await device.must('enroll', await this.ticket(login), '--name', name || login);
    if (options.sync !== false) {
      await device.sync();
    }
    return device;
  }
}

class Device {
  constructor(folder, options = {}) {
    this.dir = folder;
    this.env = options.env;
  }

  args(args) {
    return ['--dir', this.dir, ...args];
  }

  // How often the text is in the bytes of the files, free pages and logs included.
  countOf(text) {
    let count = 0;
    for (const name of fs.readdirSync(this.dir)) {
      const bytes = fs.readFileSync(path.join(this.dir, name));
      for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) {
        count++;
      }
    }
    return count;
  }

  start(...args) {
    return start('satchel', this.args(args), { env: this.env });
  }

  run(...args) {
    return run('satchel', this.args(args), { env: this.env });
  }

  must(...args) {
    return must('satchel', this.args(args), { env: this.env });
  }

  async json(...args) {
    const result = await run('satchel', this.args(['--json', ...args]), { env: this.env });
    return parse(result, `satchel ${args.join(' ')}`);
  }

  // One exchange. Exit code 3 says that something was set aside, which is no failure of the sync.
  async sync() {
    const result = await run('satchel', this.args(['--json', 'sync']), { env: this.env });
    if (result.code !== 0 && result.code !== 3) {
      throw new Error(`sync of ${this.dir}: exit ${result.code ?? result.signal}\n${result.err}${result.out}`);
    }
    return parse(result, 'sync');
  }

  // Stays connected; `saw(event)` waits for an event of `sync --live`.
  live() {
    const job = this.start('--json', 'sync', '--live');
    job.events = () => job.out.split('\n').filter((line) => line.startsWith('{"event"'))
      .map((line) => JSON.parse(line));
    job.saw = (name, count = 1, limit = LIMIT_MS) => until(`${name} of a live sync\n${job.out}`,
      () => job.events().filter((event) => event.event === name).length >= count, limit);
    return job;
  }

  async sql(text) {
    const answer = await this.json('sql', text);
    if (!Array.isArray(answer)) {
      throw new Error(`satchel sql: ${JSON.stringify(answer)}`);
    }
    return answer;
  }

  async one(text) {
    const rows = await this.sql(text);
    return rows.length ? Object.values(rows[0])[0] : null;
  }

  // The id of a new record.
  async add(table, ...fields) {
    const answer = await this.json('add', table, ...fields);
    if (!answer.id) {
      throw new Error(`satchel add ${table}: ${JSON.stringify(answer)}`);
    }
    return answer.id;
  }

  // Customers with the codes prefix-1, prefix-2 ..., a transaction each; returns the codes.
  async addMany(prefix, count) {
    const codes = Array.from({ length: count }, (_, i) => `${prefix}-${i + 1}`);
    const file = `${this.dir}-${prefix}.csv`;
    fs.writeFileSync(file, `code,name\n${codes.map((code) => `${code},${code}`).join('\n')}\n`);
    await this.must('import', file, '--table', 'party', '--batch', '1');
    return codes;
  }

  set(table, id, ...fields) {
    return this.must('set', table, id, ...fields);
  }

  // What a record shows, by column; null when it is not there.
  async show(table, id) {
    const [row] = await this.sql(`SELECT * FROM "${table}" WHERE id=${hexId(id)}`);
    return row || null;
  }

  // The conflicts that are not settled; candidates with number, text, shown, author.
  conflicts() {
    return this.json('conflicts');
  }

  // The groups that headquarters set aside: id, reason, reason_text, mutations.
  attention() {
    return this.json('attention');
  }

  // The whole directory as it is: a clone, or a copy to go back to.
  copy(folder) {
    fs.cpSync(this.dir, folder, { recursive: true });
    return new Device(folder, { env: this.env });
  }
}

// A blob id as SQL text, and as people write it.
function hexId(id) {
  return `x'${id.replaceAll('-', '')}'`;
}

// The reverse, of what hex(id) gives.
function uuid(hex) {
  return hex.toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// Syncs the devices until nothing moves any more: up from all, then down to all.
async function settle(...devices) {
  for (let round = 0; round < 2; round++) {
    for (const device of devices) {
      await device.sync();
    }
  }
}

// Everything that a table shows, one line per record, in the order of ids.
async function contents(place, table, columns) {
  const rows = await place.sql(
    `SELECT hex(id) AS id, ${columns.map((c) => `"${c}"`).join(', ')} FROM "${table}" ORDER BY id`);
  return rows.map((row) => JSON.stringify([row.id, ...columns.map((c) => row[c])])).join('\n');
}

async function cleanUp() {
  for (const child of children) {
    child.kill('SIGKILL');
  }
  if (!process.env.SATCHEL_KEEP) {
    for (const folder of folders) {
      fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
  folders.clear();
}

// A headquarters with a company of two branches, started.
async function headquarters(name, options = {}) {
  const folder = temporaryFolder(name);
  const server = new Server(folder, options);
  server.folder = folder;
  await server.init(...(options.init || []));
  await server.start();
  await server.must('branch', 'add', 'North', '--city', 'Oslo');
  await server.must('branch', 'add', 'South', '--city', 'Rome');
  await server.must('user', 'add', 'boss', '--role', 'admin');
  for (const [login, branch] of [['anna', 'North'], ['bert', 'North'], ['carl', 'South']]) {
    await server.must('user', 'add', login, '--branch', branch);
  }
  return server;
}

function programsExist() {
  return fs.existsSync(programs.satchel) && fs.existsSync(programs.satcheld);
}

module.exports = {
  bin, source, programs, programsExist, sleep, until, temporaryFolder, start, run, must, parse, Server, Device,
  headquarters, settle, contents, hexId, uuid, cleanUp, LIMIT_MS,
};
