/* check.h - reads a store whole and says what is wrong with it. */
#ifndef SERVER_MAIN_CHECK_H
#define SERVER_MAIN_CHECK_H

#include <jansson.h>

#include "server/main/house.h"

/* Opens the store to look (path: NULL for hq.db), runs SQLite's integrity check, the log against the
 * records, the digest of each bucket and the audit chain, and closes it. *ret_report: {"ok", "records",
 * "buckets", "audit_entries", "problems": [text...]}, the caller's. ERR_OK also when there are problems;
 * otherwise the store could not be read as one. */
enum err check_store(struct house *house, const char *path, json_t **ret_report,
                     struct err_info *info);
bool check_is_clean(const json_t *report);
/* The first problem, for a message. */
const char *check_first(const json_t *report);

#endif
