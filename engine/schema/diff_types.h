/* What the files about types share (diff_types.c, diff_parts.c, diff_domains.c). */
#ifndef BUNNY_DIFF_TYPES_H
#define BUNNY_DIFF_TYPES_H

#include "schema/diff_private.h"

/* A label of an enum, an attribute of a composite, a constraint of a domain. */
struct part {
    int64_t number; /* OID of a label, attnum of an attribute */
    int64_t origin; /* of the destination's: the number that it has at the source; 0: not known */
    char *name, *text;
    bool is_valid, needs_objects;
    char *now; /* of a label at the destination: what it is called until the transaction */
};
struct type_side {
    uint32_t oid;
    char kind;
    char *base, *default_expr;
    bool needs_objects, not_null;
    size_t n, cap;
    struct part *parts;
};
/* One type on both sides. */
struct type_pair {
    const char *schema, *name; /* borrowed */
    struct type_side src, dst;
};

struct part *part_named(struct type_side *s, const char *name); /* NULL: none */
/* "ALTER TYPE schema.name " */
struct buf alter_type(const struct type_pair *p);
/* "what part of type schema.name" (part NULL: of the type). Caller frees. */
char *what_of_type(const struct type_pair *p, const char *what, const char *part);
void remember_part(struct diff *d, const struct type_pair *p, enum book_kind kind, int64_t number,
                   const char *name);
bool is_type_known(const struct diff *d, const struct type_pair *p, enum book_kind kind);

/* Fills the origins of the destination's parts, by what the book says they were called. */
void parts_find_origins(struct diff *d, struct type_pair *p, enum book_kind kind);
struct part *part_of_origin(struct type_pair *p, int64_t number);      /* NULL: none */
bool part_has_moved(const struct type_pair *p, const struct part *at); /* has another name there */
/* Calls rename for each of the destination's parts that has another name at the source by now, in
 * an order in which each name is free when it is given; parts that exchange their names go over one
 * that nobody has. rename changes from->name. */
typedef void parts_rename(struct diff *d, struct type_pair *p, struct part *from, const char *to);
void parts_follow_names(struct diff *d, struct type_pair *p, parts_rename *rename);
/* The step is about to rename that part: once it was run, the book says so. */
void part_renamed(const struct diff *d, struct schema_step *s, const struct type_pair *p,
                  enum book_kind kind, const struct part *from, const char *to);
/* All mapped tables with values of the type, or of what is made of it, are copied again. */
bool diff_copy_users(struct diff *d, const struct type_pair *p, const char *why,
                     struct err *err) MUST_CHECK;

bool diff_composite(struct diff *d, struct type_pair *p, struct err *err) MUST_CHECK;
bool diff_domain(struct diff *d, struct type_pair *p, struct err *err) MUST_CHECK;

#endif
