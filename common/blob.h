/* blob.h - attachments' bytes in a store: by the SHA-256 of their content, in chunks.
 *
 * Model:      a blob is a state (size, how many of its chunks are here from the first on, whether it is whole
 *             and checked, whether headquarters has it) and its chunks, which lie under a number of their own, so
 *             that they can be written before their hash is known, and removed in steps after it is forgotten.
 *             An index says which rows name a hash: store.c keeps it with every row that is written.
 * Lists:      hashes with something left to do (enum blob_list): who has work finds it without looking at all.
 * Invariants: `whole` is set by blob_check_step() or blob_writer_end() alone, after the SHA-256 of all chunks was
 *             compared; chunks are here from 0 to have - 1, without a gap.
 * Transactions: every function is called within one; those that write, within a write transaction.
 * Errors:     of the store; ERR_CORRUPT: what is stored is not of the form.
 * Source:     SPEC.md 15, ADR-18. */
#ifndef COMMON_BLOB_H
#define COMMON_BLOB_H

#include "common/crypto.h"
#include "common/store.h"

enum {
    BLOB_HASH = 32,
    BLOB_CHUNK = 65536,           /* bytes of a chunk; the last one may have fewer */
    BLOB_SIZE_DEFAULT = 32 << 20, /* of an attachment, unless headquarters says otherwise */
    BLOB_SIZE_LIMIT = 1 << 30,    /* that it may say */
    BLOB_TRIES =
        3, /* of bytes that turned out to be others: then only who asks by name gets another */
};

struct blob {
    uint64_t number;  /* its chunks lie under it */
    uint64_t size;    /* bytes; 0: not known */
    uint32_t have;    /* chunks 0..have-1 are here */
    bool whole;       /* all are, and their SHA-256 is the hash */
    bool confirmed;   /* headquarters has said that it has it */
    bool at_branch;   /* a branch has */
    bool refused;     /* headquarters has said that it is too large */
    uint8_t failures; /* times that what came was not it */
};

enum blob_list {
    BLOB_TO_OFFER = 'o', /* whole here, not confirmed */
    BLOB_TO_FETCH = 'a', /* a live row names it, and it is not whole here */
    BLOB_ASKED = 'r',    /* a person, or a device below, asks for it */
    BLOB_NEWS = 'n',     /* came to one of the two since somebody looked */
    BLOB_TO_CHECK = 'c', /* all chunks are here */
    BLOB_UNNAMED =
        'u', /* no live row names it any more, perhaps: blob_sweep() judges. Value: since when, ms */
    BLOB_TO_REMOVE = 'x', /* by number: chunks of a blob that is forgotten */
    BLOB_WRITING = 's',   /* by number: chunks whose hash is not known yet */
};

uint32_t blob_chunks(uint64_t size);
/* Bytes that are here. */
uint64_t blob_here(const struct blob *blob);
/* ERR_NOT_FOUND: nothing is known of it. */
enum err blob_get(struct store *store, const uint8_t hash[BLOB_HASH], struct blob *ret);
enum err blob_put(struct store *store, const uint8_t hash[BLOB_HASH], const struct blob *blob);
/* Chunk n of what is here; arena. ERR_NOT_FOUND: it is not, or was lost. */
enum err blob_chunk(struct store *store, const struct blob *blob, uint32_t n, struct arena *arena,
                    struct bytes *ret);
/* The next chunk of an incoming blob. Another size than before starts it anew. *ret: as it is now.
 * ERR_CONFLICT: `n` is not the next one (and nothing changed); ERR_EXISTS: it is whole already, or waits to be
 * checked; ERR_MALFORMED: the chunk has not the bytes that it must have by the size. */
enum err blob_take(struct store *store, const uint8_t hash[BLOB_HASH], uint64_t size, uint32_t n,
                   struct bytes data, struct blob *ret);
/* Headquarters (or a branch) has it. No error if it is not here. */
enum err blob_confirm(struct store *store, const uint8_t hash[BLOB_HASH], bool headquarters);
/* Headquarters was restored: what is whole here is to be offered again. */
enum err blob_unconfirm_all(struct store *store);
/* Forgets the bytes; its chunks are removed by blob_sweep(). */
enum err blob_forget(struct store *store, const uint8_t hash[BLOB_HASH]);
/* Asks for it: BLOB_ASKED. */
enum err blob_ask(struct store *store, const uint8_t hash[BLOB_HASH]);

/* --- lists --- */
enum err blob_list_put(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH]);
enum err blob_list_remove(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH]);
/* The first after `after` (NULL: of all). ERR_NOT_FOUND: there is none. */
enum err blob_list_next(struct store *store, enum blob_list list, const uint8_t *after,
                        uint8_t ret_hash[BLOB_HASH]);
enum err blob_list_has(struct store *store, enum blob_list list, const uint8_t hash[BLOB_HASH],
                       bool *ret);
typedef int blob_fn(void *context, const uint8_t hash[BLOB_HASH]);
enum err blob_list_scan(struct store *store, enum blob_list list, blob_fn *fn, void *context);
/* All that something is known of. */
typedef int blob_state_fn(void *context, const uint8_t hash[BLOB_HASH], const struct blob *blob);
enum err blob_scan(struct store *store, blob_state_fn *fn, void *context);

/* --- which rows name a hash (blob_name.c) --- */
typedef int blob_name_fn(void *context, const struct model_table *table, const struct uuid *id,
                         bool live);
/* fn must not write. Results as of store_side_scan(). */
enum err blob_names(struct store *store, const uint8_t hash[BLOB_HASH], blob_name_fn *fn,
                    void *context);
/* ret_dead: a tombstone does. */
enum err blob_named(struct store *store, const uint8_t hash[BLOB_HASH], bool *ret_live,
                    bool *ret_dead);
/* Whether columns of the table hold hashes of blobs: never those of a system table. */
bool blob_table(const struct model_table *table);
/* Of store.c: the row is about to be written; NULL: removed. Reads what is there before. */
enum err blob_row_changes(struct store *store, const struct model_table *table,
                          const struct uuid *id, const struct store_row *row);
/* The same, where there was none. */
enum err blob_row_comes(struct store *store, const struct model_table *table, const struct uuid *id,
                        const struct store_row *row);

/* --- checking: in steps, as hashing 32 MiB takes longer than others may wait (blob_check.c) --- */
struct blob_check {
    struct crypto_sha256_state state;
    uint8_t hash[BLOB_HASH];
    struct blob blob;
    uint32_t next;
    bool open;
};
enum blob_verdict { BLOB_NOTHING, BLOB_MORE, BLOB_RIGHT, BLOB_WRONG };
/* Reads up to `chunks` of the blob that is checked, or of the next of BLOB_TO_CHECK. RIGHT, WRONG: which, is in
 * check->hash; blob_checked() is to follow, in a write transaction. ERR_NOMEM, ERR_CRYPTO, store errors: the check
 * is closed, and begins again. */
enum err blob_check_step(struct store *store, struct crypto *crypto, struct blob_check *check,
                         uint32_t chunks, enum blob_verdict *ret);
/* Right: it is whole; confirmed: headquarters' own, or as was noted while it came. Wrong: its bytes are
 * forgotten, and the failure is counted. */
enum err blob_checked(struct store *store, const struct blob_check *check, bool right,
                      bool confirmed);
/* Accepts a zeroed struct. */
void blob_check_done(struct blob_check *check);
/* The SHA-256 of what is here, at once: for verifying. ERR_CORRUPT: another, or a chunk is missing. */
enum err blob_verify(struct store *store, struct crypto *crypto, const uint8_t hash[BLOB_HASH],
                     const struct blob *blob);

/* --- removing (blob_check.c) --- */
struct blob_sweep {
    uint32_t steps; /* hashes judged and chunks removed at most */
    int64_t now_ms;
    int64_t
        keep_ms; /* headquarters: after no live or dead row names it any more; < 0: a replica, which keeps
                        what headquarters does not have, and lets the rest go at once */
};
/* Whether there is anything to judge or to remove. */
enum err blob_sweep_due(struct store *store, bool *ret);
/* *ret_more: there is more to do now. */
enum err blob_sweep(struct store *store, const struct blob_sweep *sweep, bool *ret_more);

/* --- writing one whose hash is not known yet (blob_check.c) --- */
struct blob_writer {
    struct crypto_sha256_state state;
    uint64_t number, size;
    uint32_t chunks;
};
/* What was left behind by a writer that did not end is removed. */
enum err blob_writer_begin(struct store *store, struct crypto *crypto, struct blob_writer *writer);
/* One chunk; only the last one is shorter than BLOB_CHUNK. May be in a later transaction than begin. */
enum err blob_writer_add(struct store *store, struct blob_writer *writer, struct bytes data);
/* Whole, and to be offered, unless it is here already. ERR_INVALID: it is empty. */
enum err blob_writer_end(struct store *store, struct blob_writer *writer,
                         uint8_t ret_hash[BLOB_HASH]);
void blob_writer_done(struct blob_writer *writer); /* frees memory; accepts a zeroed struct */

#endif
