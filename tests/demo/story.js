// story.js - three people of two branches work offline on the same customers; then they meet. Who does
// what, and what has to come of it.
'use strict';
const { say, style } = require('./terminal.js');

// A customer that everyone has, for the story: made by the console, so that it is the same in each set.
async function prepare(console_) {
  const customer = await console_.add('party', 'name=Fjord Trading', 'city=Bergen', 'country=Norway',
    'industry=Fish', 'contact_name=Ola Nordmann', 'loyalty_points=100', 'phones=+47 55 10 00 00',
    'notes=Asked for a spring catalogue');
  const contact = await console_.add('contact', `party=${customer}`, 'name=Kari Hansen');
  const doomed = await console_.add('party', 'name=Closed Shop', 'city=Bergen');
  const leaving = await console_.add('contact', `party=${customer}`, 'name=Per Lund');
  const deal = await console_.add('deal', 'name=Spring order', `party=${customer}`, 'amount=12000',
    'currency=EUR', 'stage=negotiation');
  await console_.sync();
  return { customer, contact, doomed, leaving, deal };
}

// Each entry: who, what it says, what is written. `$name` stands for an id made in prepare() or by `as`.
const acts = [
  ['a', 'a new phone number of Fjord Trading', ['set', 'party', '$customer', 'phones=+47 55 10 00 00; +47 900 11 222']],
  ['b', 'its website', ['set', 'party', '$customer', 'website=fjord.example']],
  ['c', 'that its industry is really seafood', ['set', 'party', '$customer', 'industry=Seafood']],
  ['a', 'who decides there: Kari Hansen', ['set', 'party', '$customer', 'contact_name=Kari Hansen']],
  ['b', 'who decides there: Ola Nordmann jr.', ['set', 'party', '$customer', 'contact_name=Ola Nordmann jr.']],
  ['a', 'five points for loyalty', ['set', 'party', '$customer', 'loyalty_points=105']],
  ['c', 'seven points for loyalty', ['set', 'party', '$customer', 'loyalty_points=107']],
  ['a', 'do not call them', ['set', 'party', '$customer', 'do_not_call=yes']],
  ['b', 'their consent to be written to', ['set', 'party', '$customer', 'consent=granted']],
  ['c', 'that they refuse any mail', ['set', 'party', '$customer', 'consent=refused']],
  ['a', 'a new contact', ['add', 'contact', 'party=$customer', 'name=Liv Berg', 'title=Buyer'], 'liv'],
  ['a', 'an order', ['add', 'sales_order', 'party=$customer', 'provisional_number=A-1', 'status=placed',
    'ordered_on=2026-11-20', 'currency=EUR'], 'order'],
  ['a', '  with a line of 10 at 12.50', ['add', 'order_line', 'sales_order=$order', 'line_number=1',
    'product_name=Nets', 'quantity=10', 'unit_price=12.50'], 'line1'],
  ['a', '  and a line of 4 at 99', ['add', 'order_line', 'sales_order=$order', 'line_number=2',
    'product_name=Winch', 'quantity=4', 'unit_price=99'], 'line2'],
  ['b', 'deletes Closed Shop', ['rm', 'party', '$doomed', '--yes']],
  ['c', 'meanwhile notes that Closed Shop reopens', ['set', 'party', '$doomed', 'notes=Reopens in May']],
  ['b', 'deletes the contact Per Lund, who left', ['rm', 'contact', '$leaving', '--yes']],
  ['b', 'the deal is won', ['set', 'deal', '$deal', 'stage=won', 'close_value=12000']],
  ['c', 'the deal is lost', ['set', 'deal', '$deal', 'stage=lost']],
  ['a', 'a customer of their branch alone', ['add', 'party', 'name=Quiet Harbour', 'visibility=branch',
    'branch=$branch'], 'quiet'],
];

// Plays the acts; returns the ids by name.
async function play(people, ids, branch) {
  const known = { ...ids, branch };
  for (const [who, text, command, as] of acts) {
    const person = people[who];
    const args = command.map((part) => part.replace(/\$(\w+)/g, (_, name) => known[name]));
    const answer = await person.device.json(...args);
    if (answer.error) {
      throw new Error(`${person.name}: ${args.join(' ')}: ${answer.error.message}`);
    }
    if (as) {
      known[as] = answer.id;
    }
    say(`   ${style.blue(person.name.padEnd(18))} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 5)); // so that their clocks tell them apart
  }
  return known;
}

// What each shows of the customer while the lines are cut, when all were at their branches: website, industry,
// points. a and b are of one branch, c of the other; the console is at headquarters.
const atBranches = [['fjord.example', 'Fish', 105], ['fjord.example', 'Fish', 105], ['', 'Seafood', 107],
  ['', 'Fish', 100]];

// What every replica must show afterwards: [what, sql, expected].
function outcome(ids, hexId) {
  const customer = `FROM party WHERE id=${hexId(ids.customer)}`;
  return [
    ['both phone numbers', `SELECT phones AS v ${customer}`, (v) => JSON.parse(v).length === 2],
    ['the website (another field)', `SELECT website AS v ${customer}`, (v) => v === 'fjord.example'],
    ['the industry (another field)', `SELECT industry AS v ${customer}`, (v) => v === 'Seafood'],
    ['contact: the later one won', `SELECT contact_name AS v ${customer}`, (v) => v === 'Ola Nordmann jr.'],
    ['points: 100 + 5 + 7', `SELECT loyalty_points AS v ${customer}`, (v) => v === 112],
    ['do not call: the stricter', `SELECT do_not_call AS v ${customer}`, (v) => v === 1],
    ['consent: the stricter', `SELECT consent AS v ${customer}`, (v) => v === 'refused'],
    ['the new contact', `SELECT count(*) AS v FROM contact WHERE id=${hexId(ids.liv)}`, (v) => v === 1],
    ['the order with both lines', `SELECT sum(unit_price*quantity) AS v FROM order_line WHERE sales_order=${hexId(ids.order)}`,
      (v) => v === 52100],
    ['Closed Shop: revived by the note', `SELECT notes AS v FROM party WHERE id=${hexId(ids.doomed)}`,
      (v) => v === 'Reopens in May'],
    ['the contact who left stays deleted', `SELECT count(*) AS v FROM contact WHERE id=${hexId(ids.leaving)}`,
      (v) => v === 0],
  ];
}

module.exports = { prepare, play, outcome, acts, atBranches };
