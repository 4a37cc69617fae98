// peer_satchel.js - Satchel for the harness of the benchmark: a satcheld on loopback with the bench's
// model, and devices that enrol with it. The harness's Agent comes from the file BENCH_HARNESS;
// programs from SATCHEL_BIN; SATCHEL_BENCH_SYNC: synchronous of the devices, normal or full.
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { Agent } = require(process.env.BENCH_HARNESS);
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

function server(folder, port) {
  data = path.join(folder, 'hq');
  ask('init', '--model', model);
  branch = ask('branch', 'add', 'Fan').id;
  ask('user', 'add', 'admin', '--role', 'admin');
  ask('user', 'add', 'fan', '--role', 'rep', '--branch', 'Fan');
  return new Agent('S', satcheld, ['run', '--data', data, '--json', '--log', 'warning',
    '--listen', `${host}:${port}`, '--per-address', '20000', '--connections', '20000']);
}

function client(name, folder) {
  const { ticket } = ask('enroll', 'admin');
  return new Agent(name, agent, ['client', folder, model, sync, ticket, branch]);
}

module.exports = { name: 'satchel', server, client };
