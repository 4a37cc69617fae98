'use strict';
const area = 'model changes';

module.exports = [
  {
    name: 'model-column-lost', area, file: 'protocol/page.c',
    why: 'Rows go on without the columns that were added last: whoever gets them has the defaults instead of what'
      + ' was typed.',
    edits: [[
      'page_start(w, PAGE_ROW, ROW_FIELDS + (uint32_t)table->column_count, position, table, id);',
      `uint16_t columns = table->column_count;
    if (PLANTED && table->id == 16 && columns > 18)
        columns = 18;
    page_start(w, PAGE_ROW, ROW_FIELDS + (uint32_t)columns, position, table, id);`,
    ], [
      'err = page_put_values(w, row->values, table->column_count);',
      'err = page_put_values(w, row->values, columns);',
    ]],
  },
  {
    name: 'model-default-forgotten', area, file: 'common/store_sqlite/sqlite_packed.c',
    why: 'What was packed before a column was added (tombstones, confirmed copies) has NULL there, not its default: digests'
      + ' differ from those of who got the row afterwards.',
    edits: [[
      'ret_values[i] = table->columns[i].fallback;',
      'ret_values[i] = PLANTED ? value_null() : table->columns[i].fallback;',
    ]],
  },
  {
    name: 'model-later-group-parked', area, file: 'server/core/decide.c',
    why: 'Headquarters that was restored to before a change of the model sets aside what it cannot read, instead of keeping it'
      + ' until the model is extended again.',
    edits: [[
      'if (e == ERR_MODEL && group.model_version > hub->model->version) {',
      'if (e == ERR_MODEL && group.model_version > hub->model->version && !PLANTED) {',
    ]],
  },
  {
    name: 'model-old-group-parked', area, file: 'server/core/decide.c',
    why: 'A group that was written with an earlier model is set aside: who was away during the change has done nothing'
      + ' wrong.',
    edits: [[
      '    if (j->author->given_up)\n        refuse(j, REASON_DEPENDS, NULL, NULL, NULL);',
      `    if (PLANTED && j->group->model_version < hub->model->version)
        refuse(j, REASON_MODEL, NULL, NULL, NULL);
    else if (j->author->given_up)
        refuse(j, REASON_DEPENDS, NULL, NULL, NULL);`,
    ]],
  },
  {
    name: 'model-waits-for-ever', area, file: 'server/core/models.c',
    why: 'Groups of a later model are kept and never looked at again when the model is there.',
    edits: [[
      'hub->models_due = hub->waiting_count > 0 &&',
      'hub->models_due = !PLANTED && hub->waiting_count > 0 &&',
    ]],
  },
  {
    name: 'model-not-atomic', area, file: 'common/store_sqlite/sqlite_schema.c',
    why: 'The store says that it has the new model before its tables have it: the power goes between the two commits, and'
      + ' nothing can be read any more.',
    edits: [[
      '        err = sqlite_store_models_anew(s, info);\n',
      `        err = sqlite_store_models_anew(s, info);
    if (PLANTED && err == ERR_OK && !s->options.read_only && !empty) {
        err = sqlite_store_models_note(s, info);
        if (err == ERR_OK)
            err = note_model(s, info);
        if (err == ERR_OK)
            err = run(s, "COMMIT", "cannot be written", info);
        if (err == ERR_OK)
            err = run(s, "BEGIN IMMEDIATE", "cannot be written", info);
    }
`,
    ]],
  },
  {
    name: 'model-not-learned', area, file: 'client/core/learn.c',
    why: 'A model that continues the one here is taken for one that came before it: the device goes on with its own, and cannot'
      + ' read what comes.',
    edits: [[
      'model_extends(theirs, ours, NULL) == ERR_OK)',
      '(PLANTED || model_extends(theirs, ours, NULL) == ERR_OK))',
    ]],
  },
];
