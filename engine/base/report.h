/* A report: what was found out, as sections of rows of names and values. Plain data that
 * belongs to whoever declared it; zero-initialised it is empty. No locks. */
#ifndef BUNNY_REPORT_H
#define BUNNY_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum report_kind {
    REPORT_NULL, /* not known, or SQL's NULL */
    REPORT_TEXT,
    REPORT_NUMBER, /* as text: digits, perhaps a sign, a point, an exponent */
    REPORT_BOOL,   /* "t" or "f" */
};
struct report_value {
    char name[64];
    enum report_kind kind;
    char *text; /* NULL for REPORT_NULL */
};
struct report_row {
    struct report_value *items;
    size_t n, cap;
};
struct report_section {
    char name[32];
    bool is_list; /* else it has one row, or none */
    struct report_row *rows;
    size_t n, cap;
    char *error; /* why there is nothing; NULL: all went well */
};
struct report {
    struct report_section *items;
    size_t n, cap;
};

/* A new section at the end, borrowed until the next one is added. */
struct report_section *report_add_section(struct report *f, const char *name, bool is_list);
/* A new row, borrowed until the next one is added. */
struct report_row *report_add_row(struct report_section *s);
void report_add(struct report_row *r, const char *name, enum report_kind kind, const char *text);
void report_add_text(struct report_row *r, const char *name,
                     const char *text); /* NULL: not known */
void report_add_number(struct report_row *r, const char *name, int64_t value);
void report_set_error(struct report_section *s, const char *text);
void report_free(struct report *f);

#endif
