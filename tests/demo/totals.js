#!/usr/bin/env node
// totals.js - what must come out of an imported set, asked of a replica by `satchel sql --json`.
//
// usage: totals.js DIR northwind|northwind-csv|crm_sales
//   DIR: a data directory of satchel; SATCHEL_BIN: the folder of the programs (else from the path).
// Exit code 1 when a total differs. In the replica money is in minor units (cents), a discount is a
// fraction, a line's net is unit_price * quantity * (1 - discount); rounding is done once, at the end.
'use strict';
const { execFileSync } = require('node:child_process');
const path = require('node:path');

const northwind = (customers) => [
  ['customers', "SELECT count(*) AS n FROM party WHERE source = 'Northwind' AND status = 'customer'",
    customers],
  ['products', "SELECT count(*) AS n FROM product WHERE code LIKE 'NW-%'", 77],
  ['orders', 'SELECT count(*) AS n FROM sales_order', 830],
  ['lines', 'SELECT count(*) AS n FROM order_line', 2155],
  ['gross', 'SELECT round(sum(unit_price * quantity)) / 100 AS n FROM order_line', 1354458.59],
  ['net', 'SELECT round(sum(unit_price * quantity * (1 - discount))) / 100 AS n FROM order_line',
    1265793.04],
];
const totals = {
  'northwind': northwind(91),
  'northwind-csv': northwind(93),
  'crm_sales': [
    ['accounts', "SELECT count(*) AS n FROM party WHERE source = 'CRM Sales'", 85],
    ['products', 'SELECT count(*) AS n FROM product WHERE series IS NOT NULL', 7],
    ['deals', "SELECT count(*) AS n FROM deal WHERE source = 'CRM Sales'", 6509],
    ['won', "SELECT count(*) AS n FROM deal WHERE source = 'CRM Sales' AND stage = 'won'", 3067],
    ['lost', "SELECT count(*) AS n FROM deal WHERE source = 'CRM Sales' AND stage = 'lost'", 1786],
    ['won value', "SELECT sum(close_value) / 100.0 AS n FROM deal " +
      "WHERE source = 'CRM Sales' AND stage = 'won'", 6914940],
  ],
};

// [{name, expected, found}] of a data directory.
function ask(directory, set) {
  const program = process.env.SATCHEL_BIN ? path.join(process.env.SATCHEL_BIN, 'satchel') : 'satchel';
  return totals[set].map(([name, sql, expected]) => {
    const answer = execFileSync(program, ['--dir', directory, '--json', 'sql', sql]);
    return { name, expected, found: JSON.parse(answer)[0].n };
  });
}

module.exports = { ask, totals };

if (require.main === module) {
  const [directory, set] = process.argv.slice(2);
  if (!directory || !totals[set]) {
    console.error(`usage: totals.js DIR ${Object.keys(totals).join('|')}`);
    process.exit(2);
  }
  let wrong = 0;
  for (const { name, expected, found } of ask(directory, set)) {
    const same = found === expected;
    wrong += same ? 0 : 1;
    console.log(`${name.padEnd(10)} ${String(found).padStart(14)}${same ? '' : `  expected ${expected}`}`);
  }
  process.exit(wrong ? 1 : 0);
}
