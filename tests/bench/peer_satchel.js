// peer_satchel.js - Satchel for the harness of the benchmark: a satcheld on loopback with the bench's
// model, and devices that enrol with it. The harness's Agent comes from the file BENCH_HARNESS;
// programs from SATCHEL_BIN; SATCHEL_BENCH_SYNC: synchronous of the devices, normal or full.
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

const bin = process.env.SATCHEL_BIN || path.resolve(__dirname, '../../build/release/bin');
const satcheld = path.join(bin, 'satcheld');
const agent = path.join(bin, 'satchel_bench_agent');
const model = path.join(__dirname, 'model.json');
const sync = process.env.SATCHEL_BENCH_SYNC || 'normal';
const host = '127.0.0.1';

let data;
let branch;

// satcheld COMMAND..., its JSON answer.
function ask(...words) {
  const out = execFileSync(satcheld, [...words, '--data', data, '--json'], { encoding: 'utf8' });
  return JSON.parse(out);
}

// N tickets of a user, one per line of the file, over one connection to the control socket: a program
// per ticket would take minutes. The ticket `like` says how the others look.
function makeTickets(socketPath, login, count, like, file) {
  const [, before, after] = /^(satchel:\/\/[^/]+\/)[^?]+(\?.*)$/.exec(like);
  const out = [];
  let text = '';
  const socket = net.connect(socketPath);
  const next = () => socket.write(`${JSON.stringify({ do: 'enroll', login, minutes: 600 })}\n`);
  socket.on('connect', next);
  socket.on('data', (data) => {
    text += data;
    if (!text.endsWith('\n')) {
      return;
    }
    out.push(before + crockford(JSON.parse(text).code) + after);
    text = '';
    if (out.length < count) {
      next();
      return;
    }
    socket.end();
    fs.writeFileSync(file, `${out.join('\n')}\n`, { mode: 0o600 });
  });
}

// 16 bytes in hexadecimal to 26 digits of Crockford's base32, most significant bit first.
function crockford(hex) {
  const bits = [...Buffer.from(hex, 'hex')].map((b) => b.toString(2).padStart(8, '0')).join('');
  return bits.padEnd(130, '0').match(/.{5}/g)
    .map((five) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[parseInt(five, 2)]).join('');
}

function server(folder, port) {
  data = path.join(folder, 'hq');
  ask('init', '--model', model);
  branch = ask('branch', 'add', 'Fan').id;
  ask('user', 'add', 'admin', '--role', 'admin');
  ask('user', 'add', 'fan', '--role', 'rep', '--branch', 'Fan');
  return newAgent('S', satcheld, ['run', '--data', data, '--json', '--log', 'warning',
    '--listen', `${host}:${port}`, '--per-address', '20000', '--connections', '20000']);
}

function client(name, folder) {
  const { ticket } = ask('enroll', 'admin');
  return newAgent(name, agent, ['client', folder, model, sync, ticket, branch]);
}

// `count` devices of branch Fan in one process, each with the branch's 1,000 rows in a replica of its
// own.
function fan(port, count) {
  const folder = fs.mkdtempSync(path.join(data, '../fan-'));
  const tickets = path.join(folder, 'tickets');
  execFileSync(process.execPath, [__filename, path.join(data, 'control.sock'), 'fan', String(count),
    ask('enroll', 'fan').ticket, tickets]);
  return newAgent('F', agent, ['fan', folder, model, tickets]);
}

function newAgent(...words) {
  const { Agent } = require(process.env.BENCH_HARNESS);
  return new Agent(...words);
}

if (require.main === module) {
  const [socketPath, login, count, like, file] = process.argv.slice(2);
  makeTickets(socketPath, login, Number(count), like, file);
}

module.exports = { name: 'satchel', server, client, fan };
