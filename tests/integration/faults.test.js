// ctest: timeout=300
// faults.test.js - real programs under everything that networks, processes and clocks do (faults.js), and
// separately written checkers over what each client did and saw.
//
// SATCHEL_SEED replays a run's choices (not its timing), SATCHEL_FAULT_SECONDS sets how long each of them takes (15).
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');
const { runFaults } = require('./faults.js');
const { seedFromEnvironment } = require('./random.js');

const seed = seedFromEnvironment();
const seconds = Number(process.env.SATCHEL_FAULT_SECONDS) || 15;

test.after(lib.cleanUp);

const TOPOLOGIES = ['direct', 'through a branch', 'through two'];

for (const [tiers, topology] of TOPOLOGIES.entries()) {
  test(`${topology}: nothing is lost and all agree after ${seconds} s of faults (seed ${seed})`, (t) => check(t, tiers));
}

async function check(t, tiers) {
  const { problems, summary, operations } = await runFaults({ seed, seconds, tiers });
  t.diagnostic(`${operations} operations: ${JSON.stringify(summary)}`);
  // Not deepEqual: its picture of the difference takes hours when there is much.
  assert.equal(Object.keys(problems).length, 0, JSON.stringify(problems, null, 1).slice(0, 20000));
  // What was meant to happen did.
  assert.ok(summary.writes > 50 && summary.reads > 50 && summary.kills > 0 && summary.connections > 10,
    'there was a workload');
  assert.ok(Object.keys(summary.hits).length >= 5, 'and there were faults');
}
