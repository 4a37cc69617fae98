#!/usr/bin/env node
// soak.js [seconds] [seed] - rounds of faults.js for as long as wanted, each from a seed of its own. Ends
// at the first violation and leaves that round's folder: histories, replicas, headquarters.
'use strict';
const lib = require('./lib.js');
const { runFaults } = require('./faults.js');

const ROUND_SECONDS = 45;

async function main() {
  const seconds = Number(process.argv[2] || 600);
  const first = Number(process.argv[3] || (Date.now() & 0x7fffffff));
  if (!(seconds > 0) || !Number.isInteger(first)) {
    throw new Error('usage: soak.js [seconds] [seed]');
  }
  const end = Date.now() + seconds * 1000;
  let operations = 0;
  for (let seed = first; Date.now() < end; seed++) {
    const left = Math.ceil((end - Date.now()) / 1000);
    const round = await runFaults({ seed, seconds: Math.min(ROUND_SECONDS, Math.max(5, left)),
      devices: 2 + (seed % 7), tiers: seed % 3 });
    operations += round.operations;
    console.log(`seed ${seed}: ${round.operations} operations, ${JSON.stringify(round.summary)}`);
    if (Object.keys(round.problems).length) {
      console.log(JSON.stringify(round.problems, null, 1));
      console.log(`see ${round.folder}; again: ./dev soak ${ROUND_SECONDS} ${seed}`);
      process.env.SATCHEL_KEEP = '1';
      process.exitCode = 1;
      break;
    }
    await lib.cleanUp();
  }
  console.log(process.exitCode ? 'soak: a promise is broken' : `soak: ${operations} operations, all promises kept`);
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
}).finally(lib.cleanUp);
