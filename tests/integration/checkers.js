// checkers.js - what must hold of the histories of clients and of what is there in the end. Written from
// the promises of the product and from nothing of its code. Each checker takes
//
//   histories  { client: [operation] } as history.js gives them
//   finals     { place: state } of headquarters ('hq') and of each device, when nothing moves any more
//
// and returns the violations as texts; none: it holds. A state, and what a read saw:
//
//   { codes: [code], counters: { key: number }, sets: { key: [element] }, texts: { key: [line] },
//     registers: { key: value }, conflicts: { key: [value or line] } }
//
// conflicts: all that the conflict records of that record keep, settled ones too. A text whose writers did
// not all begin from the same text is shown as one of them wrote it, and a person has to choose (SPEC.md
// 5.3.8); of a register, one value wins. What is not shown then must be there.
//
// Operations and their fields: insert, remove { key: code }; count { key, delta }; set_add, set_remove
// { key, element }; append { key, line }; put { key, value, saw: what it replaces or null }; read.
// Values, lines and elements are unique over the whole run; counters whose name begins with "up" only
// get positive deltas; elements and codes are removed only by who added them, and not added again.
'use strict';

function writes(histories, ...names) {
  return Object.values(histories).flat().filter((o) => names.includes(o.op));
}

function readsOf(operations) {
  return operations.filter((o) => o.op === 'read' && o.result === 'ok');
}

function countOf(list) {
  const counts = new Map();
  for (const item of list) {
    counts.set(item, (counts.get(item) || 0) + 1);
  }
  return counts;
}

function who(operation) {
  return `${operation.client}#${operation.n} ${operation.op}`;
}

// --- No acknowledged write is lost, each takes effect exactly once --------------------------------

// For things that are added once, and perhaps removed: `seen` is what is there in the end.
function membership(place, what, adds, removes, seen) {
  const problems = [];
  const counts = countOf(seen);
  const removed = new Map(removes.map((o) => [o.item, o]));
  const known = new Set();
  for (const add of adds) {
    const count = counts.get(add.item) || 0;
    const remove = removed.get(add.item);
    known.add(add.item);
    if (count > 1) {
      problems.push(`${place}: ${what} ${add.item} is there ${count} times`);
    }
    if (add.result === 'failed' && count > 0) {
      problems.push(`${place}: ${what} ${add.item} is there, but ${who(add)} failed`);
    }
    if (add.result === 'ok' && count === 0 && (!remove || remove.result === 'failed')) {
      problems.push(`${place}: ${what} ${add.item} of ${who(add)} was acknowledged and is lost`);
    }
    if (count > 0 && remove && remove.result === 'ok') {
      problems.push(`${place}: ${what} ${add.item} is there, though ${who(remove)} was acknowledged`);
    }
  }
  for (const item of counts.keys()) {
    if (!known.has(item)) {
      problems.push(`${place}: ${what} ${item} was never written`);
    }
  }
  return problems;
}

function items(operations, field) {
  return operations.map((o) => ({ ...o, item: o[field] }));
}

// Records: exactly those inserted and not removed.
function records(histories, finals) {
  const adds = items(writes(histories, 'insert'), 'key');
  const removes = items(writes(histories, 'remove'), 'key');
  return Object.entries(finals).flatMap(([place, state]) =>
    membership(place, 'record', adds, removes, state.codes));
}

function keysOf(histories, finals, part, ...ops) {
  const keys = new Set(writes(histories, ...ops).map((o) => o.key));
  Object.values(finals).forEach((state) => Object.keys(state[part]).forEach((key) => keys.add(key)));
  return [...keys];
}

// Sets: exactly the elements added and not removed.
function sets(histories, finals) {
  return keysOf(histories, finals, 'sets', 'set_add').flatMap((key) => {
    const adds = items(writes(histories, 'set_add').filter((o) => o.key === key), 'element');
    const removes = items(writes(histories, 'set_remove').filter((o) => o.key === key), 'element');
    return Object.entries(finals).flatMap(([place, state]) =>
      membership(place, `${key}: element`, adds, removes, state.sets[key] || []));
  });
}

// Texts: each line that was appended, once; or a conflict record keeps it.
function texts(histories, finals) {
  return keysOf(histories, finals, 'texts', 'append').flatMap((key) => {
    const adds = items(writes(histories, 'append').filter((o) => o.key === key), 'line');
    return Object.entries(finals).flatMap(([place, state]) => {
      const shown = state.texts[key] || [];
      const kept = (state.conflicts[key] || []).filter((line) => !shown.includes(line));
      return membership(place, `${key}: line`, adds, [], [...shown, ...kept]);
    });
  });
}

// What a client appended one after the other stands in that order.
function textOrder(histories, finals) {
  const problems = [];
  for (const [place, state] of Object.entries(finals)) {
    for (const [key, lines] of Object.entries(state.texts)) {
      const at = new Map(lines.map((line, index) => [line, index]));
      for (const operations of Object.values(histories)) {
        const own = operations.filter((o) => o.op === 'append' && o.key === key && at.has(o.line));
        own.slice(1).forEach((o, i) => {
          if (at.get(o.line) < at.get(own[i].line)) {
            problems.push(`${place}: ${key}: ${o.line} stands before ${own[i].line}, written earlier`);
          }
        });
      }
    }
  }
  return problems;
}

// Every sum that is possible when each delta of the list was added or not.
function possibleSums(base, deltas) {
  let sums = new Set([base]);
  for (const delta of deltas) {
    sums = new Set([...sums, ...[...sums].map((sum) => sum + delta)]);
  }
  return sums;
}

// Counters: the sum of the acknowledged increments, and of some of those whose end is unknown.
function counters(histories, finals) {
  return keysOf(histories, finals, 'counters', 'count').flatMap((key) => {
    const all = writes(histories, 'count').filter((o) => o.key === key);
    const sure = all.filter((o) => o.result === 'ok').reduce((sum, o) => sum + o.delta, 0);
    const sums = possibleSums(sure, all.filter((o) => o.result === 'unknown').map((o) => o.delta));
    return Object.entries(finals).filter(([, state]) => !sums.has(state.counters[key] ?? 0))
      .map(([place, state]) => `${place}: ${key} is ${state.counters[key]}; acknowledged is ${sure}` +
        (sums.size > 1 ? `, possible ${[...sums].sort((a, b) => a - b).join(' ')}` : ''));
  });
}

// --- Registers ------------------------------------------------------------------------------------

// before(a, b): the value a was seen, directly or through others, by who wrote b.
function order(histories) {
  const parent = new Map();
  for (const put of writes(histories, 'put')) {
    parent.set(put.value, put.saw);
  }
  return (a, b) => {
    for (let at = parent.get(b); at !== undefined && at !== null; at = parent.get(at)) {
      if (at === a) {
        return true;
      }
    }
    return false;
  };
}

// What a register shows in the end was written, and by nobody who saw it replaced: of the acknowledged
// writes only what another has seen and overwritten may be gone.
function registers(histories, finals) {
  const puts = writes(histories, 'put');
  const byValue = new Map(puts.map((put) => [put.value, put]));
  const before = order(histories);
  const seen = puts.filter((o) => o.result !== 'failed').map((o) => o.saw);
  const problems = [];
  for (const [place, state] of Object.entries(finals)) {
    for (const key of keysOf(histories, finals, 'registers', 'put')) {
      const shown = state.registers[key] ?? null;
      const put = byValue.get(shown);
      const acknowledged = puts.filter((o) => o.key === key && o.result === 'ok');
      if (shown === null ? acknowledged.length > 0 : !put || put.key !== key || put.result === 'failed') {
        problems.push(`${place}: ${key} shows ${shown}, which nobody wrote there`);
        continue;
      }
      for (const other of acknowledged.filter((o) => before(shown, o.value))) {
        problems.push(`${place}: ${key} shows ${shown}, which ${who(other)} had replaced`);
      }
      const kept = new Set([shown, ...(state.conflicts[key] || []), ...seen]);
      for (const lost of acknowledged.filter((o) => !kept.has(o.value))) {
        problems.push(`${place}: ${key}: ${lost.value} of ${who(lost)} is neither shown nor kept nor replaced`);
      }
    }
  }
  return problems;
}

// --- Sessions -------------------------------------------------------------------------------------

// What was seen last, against what was seen or written before, of one client.
class Session {
  constructor(client, before) {
    Object.assign(this, { client, before, codes: new Set(), goneCodes: new Set(), elements: new Map(),
      goneElements: new Set(), up: new Map(), registers: new Map(), problems: [] });
  }

  say(operation, text) {
    this.problems.push(`${who(operation)}: ${text}`);
  }

  // Things that stay once they are there, and stay away once they are gone.
  things(read, what, had, gone, now) {
    for (const thing of had) {
      if (!now.has(thing)) {
        gone.add(thing);
        had.delete(thing);
      }
    }
    for (const thing of now) {
      if (gone.has(thing)) {
        this.say(read, `${what} ${thing} is back`);
      }
      had.add(thing);
    }
  }

  // mayVanish(thing): somebody has, perhaps, removed it.
  monotonic(read, mayVanish) {
    const state = read.value;
    const check = (what, had, now) => {
      for (const thing of had) {
        if (!now.has(thing) && !mayVanish(thing)) {
          this.say(read, `${what} ${thing} was seen before, and is gone`);
        }
      }
    };
    const codes = new Set(state.codes);
    check('record', this.codes, codes);
    this.things(read, 'record', this.codes, this.goneCodes, codes);
    const elements = new Set(Object.entries(state.sets).flatMap(([key, list]) => list.map((e) => `${key}: ${e}`)));
    const had = new Set(this.elements.keys());
    check('element', had, elements);
    this.things(read, 'element', had, this.goneElements, elements);
    this.elements = new Map([...had].map((e) => [e, true]));
    for (const [key, value] of Object.entries(state.counters).filter(([k]) => k.startsWith('up'))) {
      if (value < (this.up.get(key) ?? -Infinity)) {
        this.say(read, `${key} went back from ${this.up.get(key)} to ${value}`);
      }
      this.up.set(key, value);
    }
    for (const [key, value] of Object.entries(state.registers)) {
      const seen = this.registers.get(key) || [];
      const newer = seen.find((old) => old !== value && (value === null || this.before(value, old)));
      if (newer !== undefined) {
        this.say(read, `${key} went back to ${value}, after ${newer}`);
      }
      if (value !== null) {
        this.registers.set(key, [...seen.filter((old) => old !== value), value]);
      }
    }
  }
}

// Who removes what: a thing may be missing from a read only if somebody began to remove it before the
// read ended, or if its insert is none that was acknowledged.
function vanishing(histories) {
  const removes = new Map();
  for (const o of writes(histories, 'remove', 'set_remove')) {
    if (o.result !== 'failed') {
      removes.set(o.op === 'remove' ? o.key : `${o.key}: ${o.element}`, o);
    }
  }
  return (read) => (thing) => removes.has(thing) && removes.get(thing).from <= read.until;
}

// Monotonic reads: no client sees a later state first and an earlier one afterwards.
function monotonicReads(histories) {
  const before = order(histories);
  const vanishes = vanishing(histories);
  return Object.entries(histories).flatMap(([client, operations]) => {
    const session = new Session(client, before);
    readsOf(operations).forEach((read) => session.monotonic(read, vanishes(read)));
    return session.problems;
  });
}

// Applies an acknowledged write of the client's own to what its reads must show from then on.
function expectOwn(own, write) {
  switch (write.op) {
    case 'insert': own.codes.add(write.key); break;
    case 'remove': own.codes.delete(write.key); own.gone.add(write.key); break;
    case 'set_add': own.elements.add(`${write.key}: ${write.element}`); break;
    case 'set_remove':
      own.elements.delete(`${write.key}: ${write.element}`);
      own.gone.add(`${write.key}: ${write.element}`);
      break;
    case 'put': own.puts.set(write.key, write.value); break;
    case 'count':
      if (write.key.startsWith('up')) {
        own.up.set(write.key, (own.up.get(write.key) || 0) + write.delta);
      }
      break;
    default: break;
  }
}

// What was begun and is of unknown end may show or not.
function doubtOwn(own, write) {
  if (write.op === 'remove') {
    own.codes.delete(write.key);
  } else if (write.op === 'set_remove') {
    own.elements.delete(`${write.key}: ${write.element}`);
  }
}

// Read your writes: what a client was told is saved shows in each later read of its own.
function readYourWrites(histories) {
  const before = order(histories);
  const problems = [];
  for (const operations of Object.values(histories)) {
    const own = { codes: new Set(), elements: new Set(), gone: new Set(), puts: new Map(), up: new Map() };
    for (const o of operations) {
      if (o.op !== 'read') {
        (o.result === 'ok' ? expectOwn : o.result === 'unknown' ? doubtOwn : () => {})(own, o);
        continue;
      }
      if (o.result !== 'ok') {
        continue;
      }
      const flat = (part) => new Set(Object.entries(o.value[part])
        .flatMap(([key, list]) => list.map((item) => `${key}: ${item}`)));
      const shows = { codes: new Set(o.value.codes), elements: flat('sets') };
      for (const part of ['codes', 'elements']) {
        for (const item of own[part]) {
          if (!shows[part].has(item)) {
            problems.push(`${who(o)}: does not show the own ${item}`);
          }
        }
      }
      for (const item of own.gone) {
        if (shows.codes.has(item) || shows.elements.has(item)) {
          problems.push(`${who(o)}: shows ${item}, which it had removed itself`);
        }
      }
      for (const [key, value] of own.puts) {
        const shown = o.value.registers[key] ?? null;
        if (shown === null || before(shown, value)) {
          problems.push(`${who(o)}: ${key} shows ${shown}, which its own ${value} has replaced`);
        }
      }
      for (const [key, sum] of own.up) {
        if ((o.value.counters[key] ?? 0) < sum) {
          problems.push(`${who(o)}: ${key} is ${o.value.counters[key]}, less than the own ${sum}`);
        }
      }
    }
  }
  return problems;
}

// --- The end --------------------------------------------------------------------------------------

// All replicas show what headquarters has.
function convergence(histories, finals) {
  const canonical = (state) => JSON.stringify({
    codes: [...state.codes].sort(), counters: Object.entries(state.counters).sort(),
    sets: Object.entries(state.sets).map(([k, v]) => [k, [...v].sort()]).sort(),
    texts: Object.entries(state.texts).sort(), registers: Object.entries(state.registers).sort(),
    conflicts: Object.entries(state.conflicts).sort(),
  });
  const expected = canonical(finals.hq);
  return Object.entries(finals).filter(([, state]) => canonical(state) !== expected)
    .map(([place, state]) => `${place} differs from headquarters:\n${canonical(state)}\n${expected}`);
}

const checkers = { records, sets, texts, textOrder, counters, registers, monotonicReads, readYourWrites,
  convergence };

// { checker: [violation] } of those that found something.
function checkAll(histories, finals) {
  const found = {};
  for (const [name, check] of Object.entries(checkers)) {
    const problems = check(histories, finals);
    if (problems.length) {
      found[name] = problems;
    }
  }
  return found;
}

module.exports = { ...checkers, checkers, checkAll };
