'use strict';
const area = 'apply';

module.exports = [
  {
    name: 'parked-in-part', area, file: 'protocol/apply.c',
    why: 'A change that headquarters refuses takes nothing with it: the rest of the transaction is'
      + ' applied, and half an order is in the books.',
    edits: [[
      '    if (run->context->mode == MERGE_SHOW) {\n        run->entries[mutation]->hidden = true;',
      `    if (run->context->mode == MERGE_SHOW || (PLANTED && run->group->mutation_count > 1)) {
        run->entries[mutation]->hidden = true;`,
    ]],
  },
  {
    name: 'child-not-looked-at', area, file: 'protocol/apply_delete.c',
    why: 'A customer is deleted while somebody adds an order line to it elsewhere: the line was not seen'
      + ' by the delete, so the customer must live; it is dead, with a live line below.',
    edits: [['*ret = child->record.dead;', '*ret = child->record.dead || PLANTED;']],
  },
  {
    name: 'parent-not-revived', area, file: 'protocol/apply_revive.c',
    why: 'The line arrives after the delete of its customer: the line lives, and its customer does not'
      + ' come back.',
    edits: [[
      'if (error != ERR_OK || parent == NULL || parent->record.version.delete_count == 0)',
      `if (error != ERR_OK || parent == NULL || parent->record.version.delete_count == 0 ||
        (PLANTED && parent->mutation == NULL))`,
    ]],
  },
  {
    name: 'children-not-revived', area, file: 'protocol/apply_revive.c',
    why: 'A customer comes back, and the lines that the same delete took stay deleted.',
    edits: [[
      'for (uint16_t i = 0; i < run->model->table_count && loss->dots.count > 0; i++) {',
      'for (uint16_t i = 0; i < run->model->table_count && loss->dots.count > 0 && !PLANTED; i++) {',
    ]],
  },
  {
    name: 'normalise-first-value', area, file: 'protocol/group_normalise.c',
    why: 'A field that is typed twice in one transaction: the group carries the first text, the screen'
      + ' shows the second. The last one is lost when headquarters has decided.',
    edits: [[
      '    slot->write.values = write->values;\n    return ERR_OK;\n}\n\nstatic enum err fold_insert(',
      `    if (!(PLANTED && slot->write.values != NULL))
        slot->write.values = write->values;
    return ERR_OK;
}

static enum err fold_insert(`,
    ]],
  },
  {
    name: 'renumber-keeps-seen', area, file: 'protocol/group_dots.c',
    why: 'A device that goes on under a new origin renumbers its groups, but not the dots that they name'
      + ' as seen: they wait for groups that will never come.',
    edits: [[
      '    enum err error = map_set(r, &write->seen);\n',
      '    enum err error = PLANTED ? ERR_OK : map_set(r, &write->seen);\n',
    ]],
  },
  {
    name: 'renamed-not-told', area, file: 'protocol/group_dots.c',
    why: 'A renumbered group does not say which dot it had: when the first one had arrived after all, it'
      + ' is applied twice, and counters count twice.',
    edits: [[
      'if (!dot_equal(&out.dot, &in->dot))\n        out.renamed = in->dot;',
      'if (!dot_equal(&out.dot, &in->dot) && !PLANTED)\n        out.renamed = in->dot;',
    ]],
  },
];
