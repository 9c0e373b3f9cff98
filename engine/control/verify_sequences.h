/* Verify: the values of the sequences, at the end of a comparison. Runs in the errand's thread. */
#ifndef BUNNY_VERIFY_SEQUENCES_H
#define BUNNY_VERIFY_SEQUENCES_H

#include "copy/errand.h"
#include "schema/sequences.h"

struct verify_sequences_plan {
    struct errand *errand;
    const struct pg_target *source, *dest;
    const struct schema *schema;
    struct sequences_owner owner;
    bool repairs;
    void (*want_look)(void *arg); /* asks who follows the sequences to look now */
    void *arg;
};
/* Adds each that differs to the report, as if it were a table with one row; with repair also those
 * that were set to the source's value. */
bool verify_sequences(const struct verify_sequences_plan *plan, struct verify_report *report,
                      struct err *err) MUST_CHECK;

#endif
