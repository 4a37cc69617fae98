'use strict';
const area = 'store';

module.exports = [
  {
    name: 'synchronous-off', area, file: 'common/store_sqlite/store_sqlite.c',
    why: 'The power goes, and what was acknowledged was only in the memory of the kernel.',
    edits: [[
      '    return pragmas[s->options.synchronous];',
      '    return pragmas[PLANTED ? STORE_SQLITE_OFF : s->options.synchronous];',
    ]],
  },
  {
    name: 'synchronous-normal', area, file: 'common/store_sqlite/store_sqlite.c',
    why: 'NORMAL instead of FULL: the file stays whole when the power goes, and the last commits are'
      + ' gone although they were acknowledged.',
    edits: [[
      '    if (s->memory) /* a spilled page would lock out the readers */',
      `    if (PLANTED)
        (void)sqlite3_exec(s->db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    if (s->memory) /* a spilled page would lock out the readers */`,
    ]],
  },
  {
    name: 'journal-in-memory', area, file: 'common/store_sqlite/store_sqlite.c',
    why: 'The rollback journal in memory instead of a write-ahead log: a crash within a commit damages'
      + ' the file.',
    edits: [
      ['native = sqlite3_prepare_v2(s->db, modes[s->memory], -1, &statement, NULL);',
        'native = sqlite3_prepare_v2(s->db, modes[s->memory || PLANTED], -1, &statement, NULL);'],
      ['        set = s->memory ||\n', '        set = s->memory || PLANTED ||\n'],
    ],
  },
  {
    name: 'full-disk-is-success', area, file: 'common/store_sqlite/store_sqlite.c',
    why: 'A commit that found the disk full is reported as done.',
    edits: [[
      '    abandon(s);\n    if (writing && (err == ERR_IO || err == ERR_CORRUPT))',
      `    abandon(s);
    if (PLANTED && err == ERR_FULL)
        return ERR_OK;
    if (writing && (err == ERR_IO || err == ERR_CORRUPT))`,
    ]],
  },
  {
    name: 'empty-text-is-null', area, file: 'common/store_sqlite/sqlite_rows.c',
    why: 'A field that was emptied comes back as "not set": another value than the one that was decided,'
      + ' and another digest.',
    edits: [[
      '    case VALUE_TEXT:\n        return sqlite3_bind_text64(',
      '    case VALUE_TEXT:\n        if (PLANTED && value->as.bytes.size == 0)\n            return sqlite3_bind_null(statement, parameter);\n        return sqlite3_bind_text64(',
    ]],
  },
  {
    name: 'dead-row-left', area, file: 'common/store_sqlite/sqlite_rows.c',
    why: 'A record that comes back from the dead stays among the dead as well, and shows up in both'
      + ' lists.',
    edits: [[
      '    enum err err = write_live(s, TABLE_PUT, table, id, row);\n    return err != ERR_OK ? err : delete_dead(s, table, id);',
      '    enum err err = write_live(s, TABLE_PUT, table, id, row);\n    return err != ERR_OK || PLANTED ? err : delete_dead(s, table, id);',
    ]],
  },
  {
    name: 'negative-packed-wrong', area, file: 'common/store_sqlite/sqlite_packed.c',
    why: 'Negative numbers of a deleted record come back positive: its digest is another one.',
    edits: [[
      '    uint64_t bits = (value >> 1) ^ ((value & 1) != 0 ? UINT64_MAX : 0);',
      '    uint64_t bits = (value >> 1) ^ ((value & 1) != 0 && !PLANTED ? UINT64_MAX : 0);',
    ]],
  },
];
