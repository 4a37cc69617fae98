// bootstrap.test.js - a first sync that is cut again and again goes on from where it was.
// ctest: timeout=300
'use strict';
const test = require('node:test');
const assert = require('node:assert/strict');
const lib = require('./lib.js');
const { bootstrap } = require('./bootstrap.js');
const { seedFromEnvironment } = require('./random.js');

const [ROWS, CUTS] = [40000, 40];

test.after(lib.cleanUp);

test(`${ROWS} records, cut ${CUTS} times`, { skip: !lib.programsExist() && 'the programs are not built' },
  async (t) => {
    const seed = seedFromEnvironment();
    t.diagnostic(`seed ${seed}`);
    const { whole, cut, sums, verified } = await bootstrap({ rows: ROWS, cuts: CUTS, seed });
    t.diagnostic(`${cut.bytes} bytes instead of ${whole.bytes}, ${cut.sent} rows sent, ${cut.syncs} syncs`);
    assert.equal(cut.cuts, CUTS, 'each connection was cut before it had all');
    assert.equal(cut.syncs, CUTS + 1, 'and the next one after the last cut had the rest');
    assert.equal(cut.told, false, 'it does not say that all is there before it is');
    assert.equal(cut.readable, 0, 'nothing of it is shown before all is there, to SQL neither');
    assert.match(sums[0], new RegExp(`^${ROWS} `));
    assert.equal(sums[1], sums[0]);
    assert.equal(verified.code, 0, verified.out + verified.err);
    // Whoever started over would need many times as much.
    assert.ok(cut.bytes < 2 * whole.bytes + CUTS * 10000, `${cut.bytes} bytes for ${whole.bytes}`);
  });
