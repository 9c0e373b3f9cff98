/* A form: fields that are filled in, on the whole screen. What is typed goes into the field with
 * the focus; enter, tab and the arrows move; the last line is the button. Console thread. */
#ifndef BUNNY_UI_FORM_H
#define BUNNY_UI_FORM_H

#include <stdbool.h>

struct app;

enum form_kind {
    FORM_TEXT,
    FORM_SECRET, /* shown as stars */
    FORM_CHOICE, /* one of several: blank, left, right */
};
struct form_field {
    const char *key;   /* as the API calls it: an error that names it moves the focus there */
    const char *label; /* shown */
    const char *help;  /* one sentence, of the field with the focus */
    enum form_kind kind;
    const char *const *choices; /* of FORM_CHOICE; NULL ends; outlive the form */
    bool is_locked;             /* shown, not changed */
    char value[400];
    char before[400]; /* as it was when the form was opened */
};
enum {
    FORM_FIELDS = 12,
};
struct form {
    char title[128];
    const char *button; /* "Save" */
    const char *help;   /* one sentence, of the button with the focus; NULL: none */
    struct form_field fields[FORM_FIELDS];
    int n, focus;       /* focus n: the button */
    bool is_busy;       /* the answer is awaited */
    bool shows_changes; /* fields that are not as they were are marked, with what they were */
    char error[400];
    void (*done)(struct app *a); /* the button was pressed */
};

/* Opens the form that a->form has been filled with. */
void form_open(struct app *a);
/* Leaves it, and forgets what was typed: a password may be in it. */
void form_close(struct app *a);
void form_key(struct app *a, int key);
/* The value of a field; "" when there is none of that key. */
const char *form_value(const struct form *f, const char *key);
bool form_is_changed(const struct form *f, const char *key);
/* What was refused: the sentence stands below, the focus on the field that it names. */
void form_refuse(struct app *a, const char *text, const char *hint);

#endif
