/* import_number.c - numbers and dates as people and other programs write them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* --- numbers ------------------------------------------------------------------------------------ */

/* Whether all commas stand before groups of three digits: "1,234,567". */
static bool groups_of_three(const char *text, char comma)
{
    const char *at = strchr(text, comma);
    if (!at || at - text > 3 || at == text)
        return false;
    while (at) {
        size_t digits = strspn(at + 1, "0123456789");
        if (digits != 3 || (at[4] != '\0' && at[4] != comma && at[4] != '.' && at[4] != ','))
            return false;
        at = at[4] == comma ? at + 4 : NULL;
    }
    return true;
}

/* Which character is the decimal one; '\0' and a reason when nobody can know. */
static char decimal_of(const char *digits, char *reason, size_t size)
{
    const char *dot = strrchr(digits, '.'), *comma = strrchr(digits, ',');
    if (dot && comma)
        return dot > comma ? '.' : ',';
    if (!comma)
        return '.';
    if (strchr(digits, ',') != comma)
        return '.'; /* 1,234,567 */
    if (groups_of_three(digits, ',')) {
        snprintf(
            reason, size,
            "'%s' may be a thousand or a fraction: say \"decimal\": \",\" or \".\" in the mapping",
            digits);
        return '\0';
    }
    return ',';
}

/* Moves the decimal point to the right; digits without a sign. */
static void multiply(struct text *out, const char *digits, unsigned zeros)
{
    const char *dot = strchr(digits, '.');
    size_t whole = dot ? (size_t)(dot - digits) : strlen(digits);
    const char *rest = dot ? dot + 1 : "";
    text_add_n(out, digits, whole);
    for (; zeros > 0; zeros--) {
        text_add_n(out, *rest ? rest : "0", 1);
        rest += *rest != '\0';
    }
    if (*rest)
        text_addf(out, ".%s", rest);
}

/* Takes out what is no digit: blanks between thousands, a currency's sign. Returns whether what is
 * left can be a number. */
static bool bare(const char *text, struct text *digits, bool *negative)
{
    static const char *const ignored[] = {"\xc2\xa0", "\xe2\x80\xaf", "$", "\xe2\x82\xac",
                                          "\xc2\xa3", "\xe2\x82\xbd", "'", " "};
    *negative = false;
    bool bracket = text[0] == '(' && text[strlen(text) - 1] == ')'; /* of bookkeepers */
    for (const char *at = text; *at;) {
        size_t skip = 0;
        for (size_t i = 0; i < sizeof ignored / sizeof *ignored && skip == 0; i++) {
            if (strncmp(at, ignored[i], strlen(ignored[i])) == 0)
                skip = strlen(ignored[i]);
        }
        if (skip == 0 && (*at == '-' || *at == '+') && digits->size == 0) {
            *negative = *at == '-';
            skip = 1;
        }
        if (skip == 0 && bracket && (*at == '(' || *at == ')')) {
            *negative = true;
            skip = 1;
        }
        if (skip == 0) {
            if (!strchr("0123456789.,eE+-", *at))
                return false;
            text_add_n(digits, at, 1);
            skip = 1;
        }
        at += skip;
    }
    return digits->size > 0 && strpbrk(digits->data, "0123456789");
}

bool import_number(const struct field *field, const char *text, struct text *out, char *reason,
                   size_t size)
{
    struct text digits = {0}, plain = {0};
    bool negative, exponent;
    if (!bare(text, &digits, &negative)) {
        snprintf(reason, size, "is not a number");
        text_done(&digits);
        return false;
    }
    exponent = strpbrk(digits.data, "eE") != NULL;
    char decimal = field->decimal ? field->decimal : decimal_of(digits.data, reason, size);
    if (decimal == '\0') {
        text_done(&digits);
        return false;
    }
    for (const char *c = digits.data; *c; c++) {
        if (*c == decimal)
            text_add(&plain, ".");
        else if (*c != '.' && *c != ',')
            text_add_n(&plain, c, 1);
    }
    text_done(&digits);
    if (negative)
        text_add(out, "-");
    if (field->zeros > 0 && !exponent) {
        multiply(out, text_get(&plain), field->zeros);
    } else {
        text_add(out, text_get(&plain));
    }
    text_done(&plain);
    /* An integer that some program wrote with an empty fraction: "12.0". */
    char *dot = field->column->type == SATCHEL_TYPE_INTEGER ? strchr(out->data, '.') : NULL;
    if (dot && strspn(dot + 1, "0") == strlen(dot + 1)) {
        *dot = '\0';
        out->size = (size_t)(dot - out->data);
    }
    return true;
}

/* --- dates -------------------------------------------------------------------------------------- */

struct moment {
    int year, month, day, hour, minute, second;
};

static bool digits_at(const char **at, int least, int most, int *ret)
{
    int value = 0, count = 0;
    while (count < most && **at >= '0' && **at <= '9') {
        value = value * 10 + (*(*at)++ - '0');
        count++;
    }
    *ret = value;
    return count >= least;
}

static bool month_name(const char **at, int *ret)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    char lower[4] = {0};
    for (int i = 0; i < 3; i++) {
        char c = (*at)[i];
        if (!c)
            return false;
        lower[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    const char *found = strstr(names, lower);
    if (!found || (found - names) % 3 != 0)
        return false;
    *ret = (int)(found - names) / 3 + 1;
    while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z'))
        (*at)++;
    return true;
}

/* strptime() for %Y %y %m %d %b %H %M %S. A form that ends early leaves the rest in *at. */
static bool take_form(const char **at, const char *form, struct moment *m)
{
    for (; *form; form++) {
        bool good;
        if (*form != '%') {
            if (**at != *form)
                return false;
            (*at)++;
            continue;
        }
        form++;
        switch (*form) {
        case 'Y': good = digits_at(at, 4, 4, &m->year); break;
        case 'y':
            good = digits_at(at, 2, 2, &m->year);
            m->year += m->year < 70 ? 2000 : 1900;
            break;
        case 'm': good = digits_at(at, 1, 2, &m->month); break;
        case 'd': good = digits_at(at, 1, 2, &m->day); break;
        case 'b': good = month_name(at, &m->month); break;
        case 'H': good = digits_at(at, 1, 2, &m->hour); break;
        case 'M': good = digits_at(at, 1, 2, &m->minute); break;
        case 'S': good = digits_at(at, 1, 2, &m->second); break;
        default: return false;
        }
        if (!good)
            return false;
    }
    return true;
}

static bool is_date(const struct moment *m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;
    return m->month >= 1 && m->month <= 12 && m->day >= 1 &&
           m->day <= days[m->month - 1] + (m->month == 2 && leap) && m->hour < 24 &&
           m->minute < 60 && m->second < 61;
}

/* What may follow a date: a time, with fractions, that is left out of a date. */
static bool take_time(const char *at, struct moment *m, const char **ret_zone)
{
    at += *at == 'T' || *at == ' ';
    *ret_zone = at;
    if (*at == '\0')
        return true;
    if (!digits_at(&at, 1, 2, &m->hour) || *at++ != ':' || !digits_at(&at, 2, 2, &m->minute))
        return false;
    if (*at == ':') {
        at++;
        if (!digits_at(&at, 2, 2, &m->second))
            return false;
        if (*at == '.')
            at += 1 + strspn(at + 1, "0123456789");
    }
    *ret_zone = at;
    return *at == '\0' || *at == 'Z' || *at == '+' || *at == '-';
}

bool import_date(const struct field *field, const char *text, struct text *out, char *reason,
                 size_t size)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y",
                                        "%Y%m%d",   "%d %b %Y", "%d-%b-%Y", "%b %d, %Y"};
    struct moment m = {0};
    const char *at, *zone = "";
    bool good = false;
    for (size_t i = 0; i < (field->date ? 1 : sizeof forms / sizeof *forms) && !good; i++) {
        m = (struct moment){0};
        at = text;
        good = take_form(&at, field->date ? field->date : forms[i], &m) && take_time(at, &m, &zone);
    }
    if (!good && !field->date && field->slashes) {
        m = (struct moment){0};
        at = text;
        good = take_form(&at, field->slashes, &m) && take_time(at, &m, &zone);
    }
    if (!good || !is_date(&m)) {
        if (field->date)
            snprintf(reason, size, "is not a date of the form %s", field->date);
        else if (!good && strchr(text, '/'))
            snprintf(reason, size,
                     "is a date whose day and month may be either: say \"date\": "
                     "\"%%d/%%m/%%Y\" or \"%%m/%%d/%%Y\" in the mapping");
        else
            snprintf(reason, size, "is not a date");
        return false;
    }
    text_addf(out, "%04d-%02d-%02d", m.year, m.month, m.day);
    if (field->column->type == SATCHEL_TYPE_INSTANT)
        text_addf(out, "T%02d:%02d:%02d%s", m.hour, m.minute, m.second, zone[0] ? zone : "Z");
    return true;
}
