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
    return rowsOf(answer);
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

// Rows as objects, however the program wraps them.
function rowsOf(answer) {
  const rows = Array.isArray(answer) ? answer : answer.rows;
  if (!Array.isArray(rows)) {
    throw new Error(`no rows: ${JSON.stringify(answer)}`);
  }
  return rows.map((row) => (Array.isArray(row) && answer.columns
    ? Object.fromEntries(answer.columns.map((name, i) => [name, row[i]])) : row));
}

class Device {
  constructor(folder, options = {}) {
    this.dir = folder;
    this.env = options.env;
  }

  args(args) {
    return ['--dir', this.dir, ...args];
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

  async sync() {
    return parse(await must('satchel', this.args(['--json', 'sync']), { env: this.env }), 'sync');
  }

  async sql(text) {
    return rowsOf(await this.json('sql', text));
  }

  async one(text) {
    const rows = await this.sql(text);
    return rows.length ? Object.values(rows[0])[0] : null;
  }

  // The id of a new record.
  async add(table, ...fields) {
    const answer = await this.json('add', table, ...fields);
    const id = answer.id || (answer.record && answer.record.id);
    if (!id) {
      throw new Error(`satchel add ${table}: ${JSON.stringify(answer)}`);
    }
    return id;
  }

  set(table, id, ...fields) {
    return this.must('set', table, id, ...fields);
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
  headquarters, settle, contents, hexId, cleanUp, LIMIT_MS,
};
