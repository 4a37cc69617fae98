'use strict';
const area = 'branches';

module.exports = [
  {
    name: 'pending-not-filtered', area, file: 'server/core/relay_feed.c',
    why: 'A branch shows its devices all pending groups whole, records of other owners among them.',
    edits: [[
      '        if (e == ERR_OK && sees)\n            kept[count++]',
      '        if (e == ERR_OK && (sees || PLANTED))\n            kept[count++]',
    ]],
  },
  {
    name: 'foreign-heads-passed-on', area, file: 'server/core/relay_feed.c',
    why: 'A branch passes on the heads of all buckets, and with them how many records colleagues have.',
    edits: [[
      '        if (!audience_has(&peer->audience, c->heads[i].bucket))\n            continue;\n        heads',
      '        if (!PLANTED && !audience_has(&peer->audience, c->heads[i].bucket))\n            continue;\n        heads',
    ]],
  },
  {
    name: 'branch-fork-for-duplicate', area, file: 'server/core/relay_push.c',
    why: 'A branch takes another group under a number that it has for the same one: what the copy of a device wrote'
      + ' is acknowledged and thrown away.',
    edits: [[
      'have = here && whole && bytes_equal(held, raw);',
      'have = here && whole && (PLANTED || bytes_equal(held, raw));',
    ]],
  },
  {
    name: 'branch-acks-a-gap', area, file: 'server/core/relay_push.c',
    why: 'A branch acknowledges all up to the last group that came, whatever is missing before it.',
    edits: [[
      'if (e == ERR_OK && first <= received + 1 && first + count - 1 > received) {',
      'if (e == ERR_OK && (PLANTED || first <= received + 1) && first + count - 1 > received) {',
    ]],
  },
  {
    name: 'branch-acks-one-more', area, file: 'server/core/relay_push.c',
    why: 'A branch says that it has one group more than came: the device does not send it.',
    edits: [[
      '        known.received = first + count - 1;',
      '        known.received = first + count - (PLANTED ? 0 : 1);',
    ]],
  },
  {
    name: 'discard-stays-at-branch', area, file: 'server/core/relay_push.c',
    why: 'What a person gives up at a branch is not told to headquarters, where it stays set aside.',
    edits: [[
      '    return e == ERR_OK || e == ERR_NOT_FOUND\n               ? relay_note_discard(',
      '    return (e == ERR_OK || e == ERR_NOT_FOUND) && !PLANTED\n               ? relay_note_discard(',
    ]],
  },
  {
    name: 'fates-not-live', area, file: 'server/core/follow.c',
    why: 'Who is connected is not told of others\' groups that headquarters decides: they stay pending, over the'
      + ' confirmed rows.',
    edits: [[
      '    if (peer->follow_count == 0)\n        return ERR_OK;\n    uint64_t told',
      '    if (peer->follow_count == 0 || PLANTED)\n        return ERR_OK;\n    uint64_t told',
    ]],
  },
  {
    name: 'renamed-fate-forgotten', area, file: 'client/core/replica_fates.c',
    why: 'A group that was decided under another number stays pending for ever with those who have the first.',
    edits: [[
      'bool renamed = !decided && is_renamed(list->fates, oseq, value);',
      'bool renamed = !PLANTED && !decided && is_renamed(list->fates, oseq, value);',
    ]],
  },
  {
    name: 'older-branch-wins', area, file: 'client/core/replica_install.c',
    why: 'A device that comes to a branch which is behind takes its older rows: it steps back in headquarters\' time.',
    edits: [[
      '    if (entry->position <= in->passed)',
      '    if (!PLANTED && entry->position <= in->passed)',
    ]],
  },
  {
    name: 'branch-judged-by-itself', area, file: 'server/core/follow.c',
    why: 'Who was revoked before a group reached the branch writes on through it.',
    edits: [[
      '    relayed->revoked = value.data[DEVICE_REVOKED_AT] &&',
      '    relayed->revoked = !PLANTED && value.data[DEVICE_REVOKED_AT] &&',
    ]],
  },
  {
    name: 'envelope-of-the-branch', area, file: 'client/core/follow.c',
    why: 'A branch sends runs with the envelope of the run before: effective stamps of a device whose clock is wrong'
      + ' are computed from another\'s offset.',
    edits: [[
      '    if (!same_envelope(&push->told, &run))',
      '    if (!same_envelope(&push->told, &run) && !(PLANTED && push->told.origin == run.origin))',
    ]],
  },
  {
    name: 'run-passed-over', area, file: 'client/core/follow.c',
    why: 'A branch leaves out the run after one in parts, or the second of two: it never comes to headquarters while the'
      + ' line holds.',
    edits: [[
      '        push->run_next = run.number + 1;\n    }\n    return e;',
      '        push->run_next = run.number + (PLANTED ? 2 : 1);\n    }\n    return e;',
    ]],
  },
];
