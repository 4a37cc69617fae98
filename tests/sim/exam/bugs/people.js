'use strict';
const area = 'people and moves';

module.exports = [
  {
    name: 'team-leaver-stays', area, file: 'server/core/people.c',
    why: 'Who has left a team goes on seeing its customers: a membership that was switched off counts.',
    edits: [[
      'if (!is_true(cell(table, row, SYSTEM_TEAM_MEMBER_ACTIVE)))',
      'if (!is_true(cell(table, row, SYSTEM_TEAM_MEMBER_ACTIVE)) && !PLANTED)',
    ]],
  },
  {
    name: 'substitute-stays', area, file: 'server/core/people.c',
    why: 'A substitution has no end: weeks after the holidays the substitute still reads along.',
    edits: [[
      'return person->until_ms > hub->now.wall.ms;',
      'return person->until_ms > (PLANTED ? 0 : hub->now.wall.ms);',
    ]],
  },
  {
    name: 'substitutes-substitute', area, file: 'server/core/scope.c',
    why: 'Who stands in for a substitute sees what that one sees as a substitute.',
    edits: [[
      'if (is_replaced(hub, replaced[i]))\n            e = add_own(hub, audience, &replaced[i]->id);',
      `if (is_replaced(hub, replaced[i])) {
            uint32_t further = 0;
            const struct person *const *theirs = person_replaces(hub, &replaced[i]->id, &further);
            e = add_own(hub, audience, &replaced[i]->id);
            for (uint32_t k = 0; PLANTED && e == ERR_OK && k < further; k++)
                if (is_replaced(hub, theirs[k]))
                    e = add_own(hub, audience, &theirs[k]->id);
        }`,
    ]],
  },
  {
    name: 'moved-children-stay', area, file: 'server/core/move.c',
    why: 'A customer that is given away leaves its lines behind, in the bucket of the former owner.',
    edits: [[
      'if (depth > model->table_count)\n        return ERR_OK; /* tables',
      'if (PLANTED || depth > model->table_count)\n        return ERR_OK; /* tables',
    ]],
  },
  {
    name: 'moved-conflicts-stay', area, file: 'server/core/move.c',
    why: 'Conflict records of a customer that is given away stay with the former owner, texts of the new one'
      + ' among them.',
    edits: [[
      'if (e == ERR_OK)\n        e = follow_conflicts(&m);',
      'if (e == ERR_OK && !PLANTED)\n        e = follow_conflicts(&m);',
    ]],
  },
  {
    name: 'handover-half', area, file: 'server/core/move.c',
    why: 'A hand-over is not one transaction: two customers go, and the rest stays with who has left the firm.',
    edits: [[
      'if (own != depth || !applied->result.revision_changes)',
      'if (own != depth || !applied->result.revision_changes || (PLANTED && !applied->inserted && i > 2))',
    ]],
  },
  {
    name: 'departure-not-told-later', area, file: 'server/core/chunks.c',
    why: 'Who was offline when a customer went never hears of it, and keeps it.',
    edits: [[
      'if (e == ERR_NOT_FOUND && build->anew)',
      'if (e == ERR_NOT_FOUND && (PLANTED || build->anew))',
    ]],
  },
  {
    name: 'departure-not-told-live', area, file: 'server/core/write.c',
    why: 'Who is live when a customer goes is not told: it is still shown, until the bucket\'s digest differs.',
    edits: [[
      'const struct live_entry entry = {.kind = LIVE_GONE,',
      'if (PLANTED)\n        return ERR_OK;\n    const struct live_entry entry = {.kind = LIVE_GONE,',
    ]],
  },
  {
    name: 'former-edits-dropped', area, file: 'client/core/replica_scope.c',
    why: 'What somebody wrote offline to customers that are out of sight by now is thrown away with them, unsent.',
    edits: [[
      '    base.row.bucket = 0;\n',
      `    base.row.bucket = 0;
    for (uint16_t i = 0; PLANTED && e == ERR_OK && i < base.pending_count; i++) {
        uint8_t key[16];
        be64_put(key, base.pending[i].origin);
        be64_put(key + 8, base.pending[i].oseq);
        (void)store_side_delete(leaving->r->store, SIDE_OUTBOX, bytes_of(key, sizeof key));
    }
`,
    ]],
  },
  {
    name: 'former-edits-refused', area, file: 'server/core/move.c',
    why: 'Who has given a customer away has no lease: what was written before the news came is set aside.',
    edits: [[
      'former->found = audience_has(former->author->audience, bucket);',
      'former->found = !PLANTED && audience_has(former->author->audience, bucket);',
    ]],
  },
  {
    name: 'anybody-gives-away', area, file: 'server/core/decide_scope.c',
    why: 'Any colleague who sees a customer may take it.',
    edits: [[
      'return value_id(&applied->before.values[table->owner_column], &owner) &&',
      'return PLANTED || value_id(&applied->before.values[table->owner_column], &owner) &&',
    ]],
  },
  {
    name: 'late-customer-alone', area, file: 'server/core/move.c',
    why: 'After a restore lines come before their customer: they stay in nobody\'s bucket, seen by administrators'
      + ' alone, when it has come.',
    edits: [[
      'if (to & MOVED || (to && applied->inserted))',
      'if (to & MOVED || (to && applied->inserted && !PLANTED))',
    ]],
  },
  {
    name: 'moved-and-purged-is-damage', area, file: 'server/core/move.c',
    why: 'A customer is given away, deleted, and purged: who reads the bucket that it had left anew is told that the store'
      + ' is damaged.',
    edits: [[
      'if (e == ERR_OK && departure.position == position)',
      'if (e == ERR_OK && (departure.purged || !PLANTED) && departure.position == position)',
    ]],
  },
];
