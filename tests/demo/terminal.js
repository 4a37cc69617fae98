// terminal.js - how the demo speaks: numbered steps, aligned tables, colour only on a terminal.
'use strict';

const colour = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : String(text));
const style = { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33),
  blue: paint(36) };

let steps = 0;

function say(text = '') {
  process.stdout.write(`${text}\n`);
}

function step(title) {
  steps++;
  say(`\n${style.bold(`${steps}. ${title}`)}`);
}

function width(text) {
  return [...text.replace(/\x1b\[\d+m/g, '')].length;
}

// Rows of texts; `right` names the columns that hold numbers.
function table(headings, rows, right = []) {
  const all = [headings, ...rows].map((row) => row.map((cell) => String(cell ?? '')));
  const widths = headings.map((_, i) => Math.max(...all.map((row) => width(row[i]))));
  all.forEach((row, line) => {
    const text = row.map((cell, i) => {
      const pad = ' '.repeat(widths[i] - width(cell));
      return right.includes(i) ? pad + cell : cell + pad;
    }).join('  ').trimEnd();
    say(`   ${line === 0 ? style.dim(text) : text}`);
  });
}

function number(value, digits = 0) {
  return value.toLocaleString('en-US',
    { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function bytes(size) {
  return size < 10000 ? `${number(size)} B` : size < 1e6 ? `${number(size / 1e3)} kB`
    : `${number(size / 1e6, 1)} MB`;
}

function seconds(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${number(ms / 1000, 2)} s`;
}

module.exports = { style, say, step, table, number, bytes, seconds };
