'use strict';
const area = 'merge';

module.exports = [
  {
    name: 'lww-arrival', area, file: 'protocol/merge_unit.c',
    why: 'Two people set a phone number without knowing of each other: who connects last wins, whenever'
      + ' it was written. Shows when the later write is decided first.',
    edits: [[
      `    if (state->count > 1)
        error = merge_shown(`,
      `    if (state->count > 1 && !(PLANTED && u->unit->policy == MERGE_LWW))
        error = merge_shown(`,
    ]],
  },
  {
    name: 'lww-first-stays', area, file: 'protocol/merge_shown.c',
    why: 'The older of two concurrent values is shown: what somebody corrected an hour later is hidden.'
      + ' Shows in any concurrent pair with different stamps.',
    edits: [[
      `    case MERGE_COUNTER:
    case MERGE_SET: break;
    }
    return compare_time(a, b);`,
      `    case MERGE_COUNTER:
    case MERGE_SET: break;
    }
    return PLANTED ? -compare_time(a, b) : compare_time(a, b);`,
    ]],
  },
  {
    name: 'tie-break', area, file: 'protocol/merge_shown.c',
    why: 'Equal stamps (clocks that are clamped, or stand still) are decided by the tag instead of the'
      + ' whole dot: two implementations of the protocol show two values.',
    edits: [[
      `    return dot_compare(&a->dot, &b->dot);
}

static int compare_rank(`,
      `    if (PLANTED && a->dot.tag != b->dot.tag)
        return a->dot.tag < b->dot.tag ? -1 : 1;
    return dot_compare(&a->dot, &b->dot);
}

static int compare_rank(`,
    ]],
  },
  {
    name: 'min-is-max', area, file: 'protocol/merge_shown.c',
    why: 'The lowest of the prices that two people negotiated apart has to be shown; the highest is.',
    edits: [[
      'return unit->policy == MERGE_MIN ? -order : order;',
      'return unit->policy == MERGE_MIN && !PLANTED ? -order : order;',
    ]],
  },
  {
    name: 'restrict-loosens', area, file: 'protocol/merge_shown.c',
    why: 'A customer said "do not call" to one rep while another one wrote "may be called" later: the'
      + ' opt-out is gone.',
    edits: [[
      '    case MERGE_RESTRICT: return compare_extreme(table, unit, a, b);',
      `    case MERGE_RESTRICT:
        return PLANTED && unit->policy == MERGE_RESTRICT ? compare_time(a, b)
                                                         : compare_extreme(table, unit, a, b);`,
    ]],
  },
  {
    name: 'rank-not-inherited', area, file: 'protocol/merge_unit.c',
    why: 'Policy "first": whoever was first keeps the claim also when he corrects his entry. With a fresh'
      + ' rank a correction hands the claim to the other one. Needs a conflict, then a write of the first.',
    edits: [[
      'candidate.rank = u->kept_count < u->count ? u->lowest_rank : w->revision;',
      'candidate.rank = u->kept_count < u->count && !PLANTED ? u->lowest_rank : w->revision;',
    ]],
  },
  {
    name: 'unseen-replaced', area, file: 'protocol/merge_unit.c',
    why: 'A write replaces what its author has not seen as well: the other value is gone without a'
      + ' conflict record (the lost update).',
    edits: [[
      'u->kept[i] = !named && !dot_equal(&u->current[i].dot, &w->context->dot);',
      'u->kept[i] = !named && !dot_equal(&u->current[i].dot, &w->context->dot) && !PLANTED;',
    ]],
  },
  {
    name: 'counter-concurrent', area, file: 'protocol/merge_unit.c',
    why: 'Points that two people add at the same time: the later one takes the place of the sum. Shows'
      + ' with any two concurrent deltas.',
    edits: [[
      'case MERGE_COUNTER: add_delta(&w->values[u->unit->columns[0]], values); return ERR_OK;',
      `case MERGE_COUNTER:
        if (!(PLANTED && u->kept_count > 0))
            add_delta(&w->values[u->unit->columns[0]], values);
        return ERR_OK;`,
    ]],
  },
  {
    name: 'set-add-lost', area, file: 'protocol/merge_set.c',
    why: 'Two people tag a customer at the same time: the tag that the second one has not seen is'
      + ' dropped, as if the set were one value.',
    edits: [[
      `    for (uint32_t i = 0; i < count; i++) {
        if (write->remove_count == 0 || bsearch(`,
      `    for (uint32_t i = 0; i < count; i++) {
        bool dropped = false;
        for (uint16_t k = 0; current != NULL && k < current->count; k++)
            dropped = dropped || (dot_equal(&current->candidates[k].dot, &pairs[i].dot) &&
                                  !dot_equal(&pairs[i].dot, insert) &&
                                  !dot_set_has(write->seen, &pairs[i].dot));
        if (PLANTED && dropped)
            continue;
        if (write->remove_count == 0 || bsearch(`,
    ]],
  },
  {
    name: 'set-removal-names-insert', area, file: 'client/core/replica_write.c',
    why: 'A removal names the dot of the record\'s insert instead of the one that added the element: the'
      + ' tag cannot be taken out any more.',
    edits: [[
      'state ? state->pairs[i] : (struct set_pair)',
      'state && !(PLANTED && i < before_count) ? state->pairs[i] : (struct set_pair)',
    ]],
  },
  {
    name: 'text-line-dropped', area, file: 'protocol/merge_text.c',
    why: 'Two people add a line each at the same place of the remarks: the second one is taken for the'
      + ' first one, as it is as long.',
    edits: [[
      'while (same < variant_count && !lines_equal(variants[same], sizes[same], slice, size))',
      `while (same < variant_count && !(PLANTED && sizes[same] == size) &&
               !lines_equal(variants[same], sizes[same], slice, size))`,
    ]],
  },
  {
    name: 'fsm-precedence', area, file: 'protocol/merge_shown.c',
    why: '"paid" and "draft" set at the same time: precedence is read the wrong way, and an invoice that'
      + ' was paid is a draft again.',
    edits: [[
      'order = symbol_rank(table, unit, a) - symbol_rank(table, unit, b);',
      `order = symbol_rank(table, unit, a) - symbol_rank(table, unit, b);
        order = PLANTED ? -order : order;`,
    ]],
  },
  {
    name: 'upstream-not-checked', area, file: 'protocol/merge_unit.c',
    why: 'A price that only headquarters may set is changed by a device that saw an older one: it has to'
      + ' be parked, and is applied.',
    edits: [[
      'if (u->unit->policy == MERGE_UPSTREAM && !u->exact)',
      'if (u->unit->policy == MERGE_UPSTREAM && !u->exact && !PLANTED)',
    ]],
  },
  {
    name: 'delete-covers-all', area, file: 'protocol/merge.c',
    why: 'A customer is deleted by somebody who did not know of the note that a colleague wrote: the'
      + ' colleague\'s note must bring it back, and does not.',
    edits: [[
      `        if (!unit_covered(version, &version->units[i], seen))
            return false;`,
      `        if (!unit_covered(version, &version->units[i], seen) && !PLANTED)
            return false;`,
    ]],
  },
  {
    name: 'write-does-not-revive', area, file: 'protocol/merge.c',
    why: 'The same the other way round: the delete is decided first, then the note arrives, and the'
      + ' customer stays deleted with the note inside.',
    edits: [[
      'if (mutation->write_count > 0 && mutation->table->delete_policy != DELETE_WINS) {',
      `if (mutation->write_count > 0 && mutation->table->delete_policy != DELETE_WINS &&
        !PLANTED) {`,
    ]],
  },
  {
    name: 'conflict-of-first-unit', area, file: 'server/core/write.c',
    why: 'A write that loses in two columns at once: only the first one gets a conflict record, the'
      + ' other value is gone for good.',
    edits: [[
      `    for (uint16_t i = 0; e == ERR_OK && i < result->conflict_count; i++) {`,
      `    for (uint16_t i = 0; e == ERR_OK && i < result->conflict_count && !(PLANTED && i > 0); i++) {`,
    ]],
  },
  {
    name: 'conflict-id-collides', area, file: 'protocol/conflict.c',
    why: 'The id of a conflict record leaves out the record: one transaction that meets conflicts in two'
      + ' records gets one of them written.',
    edits: [[
      'memcpy(at + 2, record->byte, sizeof(record->byte));',
      `memset(at + 2, 0, sizeof(record->byte));
    if (!PLANTED)
        memcpy(at + 2, record->byte, sizeof(record->byte));`,
    ]],
  },
  {
    name: 'conflict-superseded-lost', area, file: 'server/core/write.c',
    why: 'A third value joins a conflict: the record of the first two is settled, and no new one is'
      + ' written, so that the third value is explained nowhere.',
    edits: [[
      `        if (had_conflict(applied, unit))
            e = conflict_settle(hub, applied, unit); /* superseded by the one with more dots */
        if (e == ERR_OK)`,
      `        bool superseded = had_conflict(applied, unit);
        if (superseded)
            e = conflict_settle(hub, applied, unit); /* superseded by the one with more dots */
        if (e == ERR_OK && !(PLANTED && superseded))`,
    ]],
  },
];
