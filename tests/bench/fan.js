#!/usr/bin/env node
// fan.js - what many live devices cost one server: memory per connection, with TLS and without, and how long one
// change takes to the first, the median and the last of them, also while some have stopped reading.
//   fan.js [--idle N] [--live N] [--stalled N] [--changes N] [--only tls|plain]
// The devices are those of satchel_bench_fan: real sessions that install nothing. The author is a whole device
// (satchel_bench_agent); a change is timed from before its local transaction. Without TLS serves
// satchel_bench_plain, which is satcheld but takes the devices without it.
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const works = require('./works.js');

const source = path.resolve(__dirname, '../..');
const bin = process.env.SATCHEL_BIN || path.join(source, 'build/release/bin');
const model = path.join(__dirname, 'model.json');
const [FIRST_ROW, ROWS] = [30000, 100]; // of the devices' branch: FAN_FIRST, FAN_COUNT of agent.h
const FILL_MAX_MB = 40;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function parseOptions(words) {
  const options = { idle: 10000, live: 1000, stalled: 100, changes: 25, only: '' };
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i].slice(2);
    if (words[i].startsWith('--') && Number(words[i + 1]) >= 0 && Number.isInteger(options[name])) {
      options[name] = Number(words[i + 1]);
    } else if (words[i] === '--only' && ['tls', 'plain'].includes(words[i + 1])) {
      options.only = words[i + 1];
    } else {
      console.error('usage: fan.js [--idle N] [--live N] [--stalled N] [--changes N] [--only tls|plain]\n' +
        '  --idle     connections whose memory is measured (10000; 0: none)\n' +
        '  --live     subscribers to whom a change goes (1000), --stalled of them read no more (100)\n' +
        '  --changes  that are timed (25)');
      process.exit(2);
    }
  }
  return options;
}

// ---- the server ----

class Server {
  constructor(folder, plain) {
    this.data = path.join(folder, 'hq');
    this.plain = plain;
    this.folder = folder;
  }

  ask(...words) {
    return JSON.parse(execFileSync(path.join(bin, 'satcheld'), [...words, '--data', this.data, '--json'],
      { encoding: 'utf8' }));
  }

  async start() {
    this.ask('init', '--model', model);
    this.branch = this.ask('branch', 'add', 'Fan').id;
    this.ask('user', 'add', 'admin', '--role', 'admin');
    this.ask('user', 'add', 'fan', '--role', 'rep', '--branch', 'Fan');
    this.slow = this.ask('user', 'add', 'slow', '--role', 'rep', '--branch', 'Fan').id;
    const portFile = path.join(this.folder, 'port');
    this.agent = new works.Agent('the server', path.join(bin, this.plain ? 'satchel_bench_plain' : 'satcheld'),
      ['run', '--data', this.data, '--json', '--log', 'warning', '--listen', '127.0.0.1:0', '--port-file', portFile,
        '--per-address', '20000', '--connections', '20000']);
    await this.agent.ready;
    this.port = Number(fs.readFileSync(portFile, 'utf8'));
    return this;
  }

  // Enrolment codes of a user in hexadecimal, by one connection to the control socket.
  codes(login, count) {
    if (count === 0) {
      return [];
    }
    return new Promise((resolve, reject) => {
      const socket = net.connect(path.join(this.data, 'control.sock'));
      const codes = [];
      let text = '';
      const next = () => socket.write(`${JSON.stringify({ do: 'enroll', login, minutes: 600 })}\n`);
      socket.on('connect', next).on('error', reject).on('data', (data) => {
        text += data;
        if (text.endsWith('\n')) {
          codes.push(JSON.parse(text).code);
          text = '';
          if (codes.length < count) {
            next();
          } else {
            socket.end();
            resolve(codes);
          }
        }
      });
    });
  }

  // Of the process, in KiB: what is its own in memory, and the highest.
  memory() {
    const text = fs.readFileSync(`/proc/${this.agent.process.pid}/smaps_rollup`, 'utf8');
    return Number(/^Pss_Anon: +(\d+)/m.exec(text)[1]);
  }

  // CPU seconds so far.
  cpu() {
    const stat = fs.readFileSync(`/proc/${this.agent.process.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

// `slow` of them, the last, are another user's, who has rows that the others have not.
async function devices(server, count, slow = 0) {
  const file = path.join(server.folder, `codes-${count}`);
  const codes = [...await server.codes('fan', count - slow), ...await server.codes('slow', slow)];
  fs.writeFileSync(file, `${codes.join('\n')}\n`, { mode: 0o600 });
  const fan = new works.Agent('the fan', path.join(bin, 'satchel_bench_fan'),
    [String(server.port), model, file, ...(server.plain ? ['plain'] : [])]);
  const { ms } = await fan.ready;
  return { fan, ms };
}

// An author with rows in the devices' branch, over TLS at either server.
async function author(server) {
  const data = path.join(server.folder, 'data.jsonl');
  works.makeData(data, FIRST_ROW + ROWS);
  process.env.BENCH_DATA = data;
  const { ticket } = server.ask('enroll', 'admin');
  const agent = new works.Agent('the author', path.join(bin, 'satchel_bench_agent'),
    ['client', path.join(server.folder, 'author'), model, 'normal', ticket, server.branch]);
  await agent.ready;
  await agent.call(`load ${FIRST_ROW + ROWS}`);
  await agent.call('live');
  await agent.call('flush');
  return agent;
}

// ---- what is measured ----

let changes = 0;

// One change, in ms from before the author's transaction to the first, the median and the last.
async function change(writer, fan) {
  const tag = `F${++changes}`;
  await fan.call(`watch ${tag}-0`);
  const seen = fan.wait();
  const { t0 } = await writer.call(`edit ${FIRST_ROW + changes % ROWS} 1 1 phone ${tag}`);
  const { first, median, last, count } = await seen;
  return { first: first - t0, median: median - t0, last: last - t0, count };
}

async function timed(server, writer, fan, count) {
  const times = [];
  await change(writer, fan);
  await change(writer, fan);
  const cpu = server.cpu();
  for (let i = 0; i < count; i++) {
    await pause(20);
    times.push(await change(writer, fan));
  }
  const used = (server.cpu() - cpu) / count * 1e3;
  const of = (name) => times.map((time) => time[name]);
  const text = (name) => `${works.quantile(of(name), 0.5).toFixed(2)} [${
    Math.min(...of(name)).toFixed(2)}-${Math.max(...of(name)).toFixed(2)}]`;
  console.log(`  ${count} changes to ${times[0].count} readers, ms: first ${text('first')}, median ${
    text('median')}, last ${text('last')}; server CPU ${used.toFixed(1)} ms per change`);
}

// Large rows, for them alone, until those that do not read have been sent back to the log: first the kernel holds some MB.
async function fill(server, writer, stalled) {
  const { fallbacks: before } = server.ask('status');
  let megabytes = 0;
  let fallbacks = 0;
  for (; fallbacks < stalled && megabytes < FILL_MAX_MB; megabytes++) {
    await writer.call(`fill 25 40000 ${server.slow}`);
    fallbacks = server.ask('status').fallbacks - before;
  }
  return { megabytes, fallbacks };
}

async function idle(server, count) {
  const before = server.memory();
  const { fan, ms } = await devices(server, count);
  const open = server.memory();
  const subscribed = await fan.call('subscribe');
  await pause(3000);
  const after = server.memory();
  const cpu = server.cpu();
  await pause(10000);
  console.log(`  ${count} live connections, enrolled in ${(ms / 1e3).toFixed(1)} s, live after ${
    (subscribed.ms / 1e3).toFixed(1)} s: ${((after - before) / count).toFixed(2)} KiB each (${
    ((open - before) / count).toFixed(2)} before they subscribed); idle: ${
    ((server.cpu() - cpu) * 10).toFixed(1)} % of a core`);
  return fan;
}

async function measure(folder, plain, options) {
  console.log(plain ? 'Without TLS (satchel_bench_plain):' : 'With TLS 1.3:');
  const server = await new Server(folder, plain).start();
  const agents = [server.agent];
  try {
    const writer = await author(server);
    agents.unshift(writer);
    if (options.idle > 0) {
      const fan = await idle(server, options.idle);
      agents.unshift(fan);
      await timed(server, writer, fan, 5);
      await agents.shift().kill();
      await pause(2000);
    }
    const { fan } = await devices(server, options.live, options.stalled);
    agents.unshift(fan);
    await fan.call('subscribe');
    await timed(server, writer, fan, options.changes);
    if (options.stalled > 0) {
      const before = server.memory();
      await fan.call(`stall ${options.stalled}`);
      const { megabytes, fallbacks } = await fill(server, writer, options.stalled);
      console.log(`  ${options.stalled} read no more; after ${megabytes} MB of further rows ${fallbacks} fell back to the log; ` +
        `the server holds ${((server.memory() - before) / 1024).toFixed(1)} MiB more`);
      await timed(server, writer, fan, options.changes);
    }
  } finally {
    for (const agent of agents) {
      await agent.kill();
    }
  }
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  for (const program of ['satcheld', 'satchel_bench_agent', 'satchel_bench_fan', 'satchel_bench_plain']) {
    if (!fs.existsSync(path.join(bin, program))) {
      throw new Error(`there is no ${path.join(bin, program)}: build first (./dev bench fan does)`);
    }
  }
  for (const kind of ['tls', 'plain'].filter((name) => !options.only || name === options.only)) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'satchel-fan-'));
    try {
      await measure(folder, kind === 'plain', options);
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
