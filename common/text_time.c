#include "common/text.h"

#define DAY_MS    ((int64_t)86400000)
#define YEAR_MIN  1
#define DAYS_MIN  (-719162) /* 0001-01-01 */
#define DAYS_MAX  2932896   /* 9999-12-31 */
#define DATE_SIZE ((size_t)10)

/* Days of whole 400-year cycles, and days before 1970-03-01 counted from 0000-03-01. Years are taken
 * from March, so that the leap day is the last of its year. */
#define CYCLE_DAYS 146097
#define EPOCH_DAYS 719468

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static int32_t days_of_date(int year, int month, int day)
{
    int from_march = (month + 9) % 12;
    int y = month <= 2 ? year - 1 : year; /* >= 0 */

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * from_march + 2) / 5 + day - 1 - EPOCH_DAYS;
}

static void date_of_days(int32_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int shifted = days + EPOCH_DAYS; /* >= 0 in our range */
    int cycle = shifted / CYCLE_DAYS;
    int of_cycle = shifted % CYCLE_DAYS;
    int year_of_cycle = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    int of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int from_march = (5 * of_year + 2) / 153;

    *ret_day = of_year - (153 * from_march + 2) / 5 + 1;
    *ret_month = from_march < 10 ? from_march + 3 : from_march - 9;
    *ret_year = cycle * 400 + year_of_cycle + (*ret_month <= 2 ? 1 : 0);
}

/* A cursor over text. Each step returns false when the text is something else. */
struct scan {
    struct bytes text;
    size_t at;
};

static bool scan_digits(struct scan *s, size_t count, int *ret_number)
{
    int number = 0;

    if (s->text.size - s->at < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint8_t c = s->text.data[s->at + i];

        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    s->at += count;
    *ret_number = number;
    return true;
}

/* Takes one of the characters. */
static bool scan_one(struct scan *s, const char *characters)
{
    for (; *characters != '\0' && s->at < s->text.size; characters++) {
        if (s->text.data[s->at] == (uint8_t)*characters) {
            s->at++;
            return true;
        }
    }
    return false;
}

static bool scan_date(struct scan *s, int32_t *ret_days)
{
    int year, month, day;

    if (!scan_digits(s, 4, &year) || !scan_one(s, "-") || !scan_digits(s, 2, &month) ||
        !scan_one(s, "-") || !scan_digits(s, 2, &day))
        return false;
    if (year < YEAR_MIN || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    *ret_days = days_of_date(year, month, day);
    return true;
}

bool text_date_valid(struct bytes text)
{
    int32_t days;

    return text_parse_date(text, &days) == ERR_OK;
}

enum err text_parse_date(struct bytes text, int32_t *ret_days)
{
    struct scan s = {.text = text};
    int32_t days;

    if (text.size != DATE_SIZE || !scan_date(&s, &days))
        return ERR_PARSE;
    *ret_days = days;
    return ERR_OK;
}

enum err text_append_date(struct buf *out, int32_t days)
{
    int year, month, day;

    if (days < DAYS_MIN || days > DAYS_MAX)
        return ERR_LIMIT;
    date_of_days(days, &year, &month, &day);
    return text_append_format(out, "%04d-%02d-%02d", year, month, day);
}

/* hh:mm[:ss[.fraction]] */
static bool scan_time(struct scan *s, int64_t *ret_ms)
{
    int hour, minute, second = 0, digit, weight = 100, fraction = 0;

    if (!scan_digits(s, 2, &hour) || !scan_one(s, ":") || !scan_digits(s, 2, &minute))
        return false;
    if (scan_one(s, ":")) {
        if (!scan_digits(s, 2, &second))
            return false;
        if (scan_one(s, ".")) {
            size_t start = s->at;

            while (s->at - start < 9 && scan_digits(s, 1, &digit)) {
                fraction += digit * weight;
                weight /= 10;
            }
            if (s->at == start)
                return false;
        }
    }
    *ret_ms = (((int64_t)hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return hour < 24 && minute < 60 && second < 60;
}

/* Z or +hh:mm or -hh:mm: how far the local time is ahead of UTC. */
static bool scan_offset(struct scan *s, int64_t *ret_ms)
{
    int hour, minute;
    bool behind;

    *ret_ms = 0;
    if (scan_one(s, "Zz"))
        return true;
    behind = scan_one(s, "-");
    if (!behind && !scan_one(s, "+"))
        return false;
    if (!scan_digits(s, 2, &hour) || !scan_one(s, ":") || !scan_digits(s, 2, &minute))
        return false;
    *ret_ms = ((int64_t)hour * 60 + minute) * 60000 * (behind ? -1 : 1);
    return hour < 24 && minute < 60;
}

enum err text_parse_instant(struct bytes text, int64_t *ret_ms)
{
    struct scan s = {.text = text};
    int32_t days;
    int64_t time_ms, offset_ms, ms;

    if (!scan_date(&s, &days) || !scan_one(&s, "Tt ") || !scan_time(&s, &time_ms) ||
        !scan_offset(&s, &offset_ms) || s.at != text.size)
        return ERR_PARSE;
    ms = days * DAY_MS + time_ms - offset_ms;
    if (ms < DAYS_MIN * DAY_MS || ms >= (DAYS_MAX + 1) * DAY_MS)
        return ERR_LIMIT;
    *ret_ms = ms;
    return ERR_OK;
}

enum err text_append_instant(struct buf *out, int64_t ms)
{
    int year, month, day, of_day;
    int64_t since_min;

    if (ms < DAYS_MIN * DAY_MS || ms >= (DAYS_MAX + 1) * DAY_MS)
        return ERR_LIMIT;
    since_min = ms - DAYS_MIN * DAY_MS; /* >= 0, so that division goes down */
    date_of_days((int32_t)(since_min / DAY_MS) + DAYS_MIN, &year, &month, &day);
    of_day = (int)(since_min % DAY_MS);
    return text_append_format(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day,
                              of_day / 3600000, of_day / 60000 % 60, of_day / 1000 % 60,
                              of_day % 1000);
}
