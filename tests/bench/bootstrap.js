#!/usr/bin/env node
// bootstrap.js - a first sync of many records: records per second beside SQLite's own inserts of the same rows in one
// transaction, bytes on the wire, and what it costs to be cut again and again.
//   bootstrap.js [--rows N] [--cuts N] [--seed N]
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const lib = require('../integration/lib.js');
const { bootstrap } = require('../integration/bootstrap.js');

function parseOptions(words) {
  const options = { rows: 1000000, cuts: 100, seed: Date.now() & 0x7fffffff };
  for (let i = 0; i < words.length; i += 2) {
    const name = words[i].replace(/^--/, '');
    if (!(name in options) || !(Number(words[i + 1]) > 0)) {
      console.error('usage: bootstrap.js [--rows N] [--cuts N] [--seed N]');
      process.exit(2);
    }
    options[name] = Number(words[i + 1]);
  }
  return options;
}

// Rows per second.
function raw(device, ...settings) {
  const out = path.join(path.dirname(device.dir), 'raw.db');
  const text = execFileSync(path.join(lib.bin, 'satchel_bench_raw'),
    [path.join(device.dir, 'replica.db'), 'party', out, ...settings], { encoding: 'utf8' });
  fs.rmSync(out, { force: true });
  const { rows, ms } = JSON.parse(text);
  return rows / ms * 1e3;
}

// With SQLite's own page size and cache, and with those of our store.
async function measure(device) {
  return { plain: raw(device), alike: raw(device, '8192', '65536') };
}

async function main() {
  const options = parseOptions(process.argv.slice(2));
  const { rows, cuts, seed } = options;
  console.log(`${rows} records, ${cuts} cuts, seed ${seed}`);
  const found = await bootstrap({ ...options, tell: (text) => console.log(`  ${text}`), measure });
  const { whole, cut, sums, verified, measured } = found;
  const rate = rows / whole.seconds;
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  const part = (of) => `${(rate / of).toFixed(2)} of ${Math.round(of)}`;
  console.log(`\
whole:  ${whole.seconds.toFixed(1)} s, ${Math.round(rate)} records/s: ${part(measured.plain)} rows/s of SQLite alone in one
        transaction, ${part(measured.alike)} of SQLite with our page size and cache; ${
  mib(whole.bytes)} MiB received, ${(whole.bytes / rows).toFixed(1)} bytes per record
cut:    ${cut.cuts} times, ${cut.syncs} syncs, ${cut.seconds.toFixed(1)} s, ${mib(cut.bytes)} MiB passed (${
  (cut.bytes / whole.bytes).toFixed(2)}), ${(cut.sent / rows).toFixed(2)} rows sent per record
        ${sums[0] === sums[1] && verified.code === 0 ? 'the same records, verified' : `DIFFERS: ${sums.join(' | ')} ${verified.out}`}`);
  process.exitCode = sums[0] === sums[1] && verified.code === 0 && cut.cuts === cuts && !cut.told ? 0 : 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
}).finally(lib.cleanUp);
