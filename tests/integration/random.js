// random.js - random choices from a seed, each purpose with a stream of its own: what one of them draws
// changes nothing for the others, however the processes are timed.
'use strict';

// mulberry32, begun from the seed and the purpose (FNV-1a).
function stream(seed, purpose) {
  let state = (seed ^ 0x811c9dc5) | 0;
  for (const char of String(purpose)) {
    state = Math.imul(state ^ char.charCodeAt(0), 0x01000193);
  }
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  random.below = (n) => Math.floor(random() * n);
  random.between = (low, high) => low + Math.floor(random() * (high - low + 1));
  random.pick = (list) => list[random.below(list.length)];
  random.chance = (probability) => random() < probability;
  // One key of { name: weight }.
  random.weighted = (weights) => {
    const entries = Object.entries(weights);
    let at = random() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      at -= weight;
      if (at < 0) {
        return name;
      }
    }
    return entries[entries.length - 1][0];
  };
  return random;
}

function seedFromEnvironment() {
  return Number(process.env.SATCHEL_SEED) || (Date.now() & 0x7fffffff);
}

module.exports = { stream, seedFromEnvironment };
