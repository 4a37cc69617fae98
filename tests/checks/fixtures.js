// fixtures.js - the tables of a new store and the built-in model are those of the fixture `next`: who changes them
// makes a new one, so that what is out there can be tested against what comes (tests/fixtures/README.md).
//   node fixtures.js BIN
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const bin = path.resolve(process.argv[2]);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'satchel-fixtures-'));
const known = path.resolve(__dirname, '../fixtures/next/schema.txt');
let found = '';
try {
  execFileSync(path.join(bin, 'satcheld'), ['init', '--data', path.join(folder, 'hq')], { stdio: 'pipe' });
  found = execFileSync(path.join(bin, 'satchel_fixture_load'), ['--schema', path.join(folder, 'hq/hq.db')],
    { encoding: 'utf8' });
} finally {
  fs.rmSync(folder, { recursive: true, force: true });
}
const expected = fs.existsSync(known) ? fs.readFileSync(known, 'utf8') : '';
if (found === expected) {
  console.log(`fixtures: the store and the model are those of tests/fixtures/next (${found.split('\n').length} lines)`);
} else {
  const before = new Set(expected.split('\n'));
  const after = new Set(found.split('\n'));
  for (const line of after) {
    if (!before.has(line)) {
      console.error(`+ ${line.slice(0, 200)}`);
    }
  }
  for (const line of before) {
    if (!after.has(line)) {
      console.error(`- ${line.slice(0, 200)}`);
    }
  }
  console.error('The tables of a new store, or the built-in model, are others than in tests/fixtures/next. Make that fixture ' +
    'anew (node tests/fixtures/make.js next), see that tests/integration/fixtures.test.js passes, and commit both.');
  process.exit(1);
}
