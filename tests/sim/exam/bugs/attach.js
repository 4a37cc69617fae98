'use strict';
const area = 'attach';

module.exports = [
  {
    name: 'attachment-half-acknowledged', area, file: 'server/core/blobs.c',
    why: 'An attachment is said to be at headquarters when its first chunk is: the device sends no more, and'
      + ' forgets it in the end.',
    edits: [[
      '    return send_state(hub, peer, hash, all ? BLOB_CHECKING : BLOB_WANTED, blob.have);',
      `    if (PLANTED)
        return send_state(hub, peer, hash, BLOB_AT_HEADQUARTERS, 0);
    return send_state(hub, peer, hash, all ? BLOB_CHECKING : BLOB_WANTED, blob.have);`,
    ]],
  },
  {
    name: 'attachment-hash-not-verified', area, file: 'common/blob_check.c',
    why: 'What came is taken for what the record names, whatever bytes it is: a damaged or forged contract is'
      + ' shown to everybody as the one that was signed.',
    edits: [[
      '        *ret = memcmp(hash, check->hash, BLOB_HASH) == 0 ? BLOB_RIGHT : BLOB_WRONG;',
      '        *ret = PLANTED || memcmp(hash, check->hash, BLOB_HASH) == 0 ? BLOB_RIGHT : BLOB_WRONG;',
    ]],
  },
  {
    name: 'attachment-by-hash-alone', area, file: 'server/core/blobs.c',
    why: 'Who knows the hash of a photo gets its bytes, without any record of it in sight.',
    edits: [[
      '    *ret = sight.sees;',
      '    *ret = sight.sees || (PLANTED && !writes);',
    ]],
  },
];
