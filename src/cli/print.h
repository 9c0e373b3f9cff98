/* What commands print: tables and labelled lines of JSON that came from the API, by tables of
 * columns. Plain text: whatever a terminal or a script that reads lines would trip over is taken
 * out. Human units; unknown is "-", so that the columns stay where they are. */
#ifndef BUNNY_CLI_PRINT_H
#define BUNNY_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "base/findings.h"

enum kind {
    KIND_TEXT,
    KIND_NUMBER,  /* exactly; to the right, as the next three */
    KIND_COUNT,   /* 885k */
    KIND_BYTES,   /* 2.9G */
    KIND_SECONDS, /* 1m48s */
    KIND_YES,     /* yes or no */
    KIND_LIST,    /* an array, a,b, or an object, key=a,other=b */
};
struct column {
    const char *title; /* "LAG" in a table, "lag" as a label */
    const char *key;   /* "slot.wal_status": of an object inside */
    const char *key2;  /* its text follows after a dot: schema and table; NULL: none */
    enum kind kind;
};

/* One line for each object of the array, under a line of titles; the last column is not padded. */
void print_table(FILE *out, const struct column *columns, size_t n, const json_t *array);
/* "label: value", one line for each column. */
void print_facts(FILE *out, const struct column *columns, size_t n, const json_t *object);
/* Findings of at least this severity, 80 columns wide: severity, title and code, cause, what it is
 * about, and the remedy: every statement in lines of its own, whole, for psql. */
void print_findings(FILE *out, const json_t *array, enum severity least);
/* Text in lines of 80 columns; first stands before the first of them, as many blanks before the
 * others. */
void print_wrapped(FILE *out, const char *first, const char *text);
/* Items of a finding: what it is about, where no statement says it already. */
void print_items(FILE *out, const json_t *items);
/* Their statements, each once, where it stands first. True when there is one. */
bool print_statements(FILE *out, const json_t *items);
/* One line: before, and text without control characters. */
void print_line(FILE *out, const char *before, const char *text);
/* Each line of text, with before in front. */
void print_text(FILE *out, const char *before, const char *text);
/* The text of one cell; caller frees. */
char *print_cell(const struct column *column, const json_t *object);

#endif
