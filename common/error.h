/* error.h - the one error space of Satchel.
 *
 * Model:      one enum from one list; a code has a stable value, a class and a text. SQLite,
 *             OpenSSL, msgpack and errno codes are converted where they arise and travel no
 *             further.
 * Classes:    RETRY  the same call may succeed later (busy, disk full, link lost);
 *             PEER   the other side sent something wrong;
 *             INPUT  the caller or the user gave something wrong;
 *             FATAL  the process must stop and reopen (a failed sync, a corrupt store);
 *             BUG    our own mistake.
 * Use:        functions return `enum err`, ERR_OK is 0; out-parameters `ret_x` are untouched on
 *             failure. Values are part of the public interface (client/api/satchel.h) and of the
 *             wire: never reused. */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

/* clang-format off */
/*    name                value  class   text */
#define ERR_LIST(X) \
    X(OK,                  0, NONE,  "no error") \
    X(NOMEM,               1, RETRY, "out of memory") \
    X(LIMIT,               2, INPUT, "a limit was exceeded") \
    X(INVALID,             3, INPUT, "an argument is not valid") \
    X(NOT_FOUND,           4, INPUT, "not found") \
    X(EXISTS,              5, INPUT, "exists already") \
    X(BUSY,                6, RETRY, "the store is in use") \
    X(FULL,                7, RETRY, "the disk is full") \
    X(IO,                  8, FATAL, "reading or writing failed") \
    X(CORRUPT,             9, FATAL, "the store is damaged") \
    X(MALFORMED,          10, PEER,  "the data is malformed") \
    X(TOO_LARGE,          11, PEER,  "the data is larger than allowed") \
    X(PROTOCOL,           12, PEER,  "the peer broke the protocol") \
    X(VERSION,            13, PEER,  "no common protocol or format version") \
    X(AUTH,               14, PEER,  "authentication failed") \
    X(REVOKED,            15, PEER,  "this device has been revoked") \
    X(FORBIDDEN,          16, INPUT, "not allowed") \
    X(MODEL,              17, INPUT, "the model is not valid") \
    X(TYPE,               18, INPUT, "the value has the wrong type") \
    X(CRYPTO,             19, BUG,   "a cryptographic operation failed") \
    X(LINK,               20, RETRY, "the connection failed") \
    X(TIMEOUT,            21, RETRY, "timed out") \
    X(CLOSED,             22, RETRY, "closed") \
    X(BUG,                23, BUG,   "internal error") \
    X(INTERRUPTED,        24, RETRY, "interrupted") \
    X(OFFLINE,            25, RETRY, "not connected") \
    X(PIN,                26, PEER, \
      "the server's certificate is not the one pinned at enrolment") \
    X(ENROLMENT,          27, PEER, \
      "the enrolment code is not valid, was used already or has expired") \
    X(PARSE,              28, INPUT, "could not be parsed") \
    X(CONFLICT,           29, INPUT, "the state has changed meanwhile")
/* clang-format on */

enum err {
#define ERR_ENUM(name, value, class, text) ERR_##name = value,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_RETRY,
    ERR_CLASS_PEER,
    ERR_CLASS_INPUT,
    ERR_CLASS_FATAL,
    ERR_CLASS_BUG
};

/* The stable name ("NOT_FOUND"), the class and the English text of a code; never NULL ("UNKNOWN").
 */
const char *err_name(enum err code);
enum err_class err_class(enum err code);
const char *err_text(enum err code);

/* What a person reads: which thing, what happened, what to do next. Filled by the function that
 * failed; callers add nothing. `message` is always terminated. */
struct err_info {
    enum err code;
    int native; /* SQLite, OpenSSL or errno code where one exists, else 0 */
    char message[512];
};

/* Writes code and message (printf-like, cut at a character when too long) into info, which may be
 * NULL, and returns code. Sets native to 0: who has a native code sets it afterwards. */
enum err err_set(struct err_info *info, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
