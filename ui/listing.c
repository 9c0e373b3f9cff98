/* The list on the screen; see listing.h. */
#include "ui/listing.h"

#include "ui/columns.h"

static struct listing of_mirror(struct app *a)
{
    switch (a->tab) {
    case TAB_TABLES:
        return (struct listing){&a->tables, a->table_filter, detail_columns(a)};
    case TAB_RUNS:
        return (struct listing){&a->mirror_runs, a->run_filter, &columns_of_own_runs};
    case TAB_SLOT:
    case TAB_LOGS:
    case TAB_SCHEMA:
    case TAB_CONFIG:
    case TAB_COUNT:
        break;
    }
    return (struct listing){.filter = a->table_filter};
}

struct listing listing_of(struct app *a)
{
    switch (app_screen(a)) {
    case SCREEN_LIST:
        return (struct listing){&a->mirrors, a->filter, &columns_of_mirrors};
    case SCREEN_DETAIL:
        return of_mirror(a);
    case SCREEN_SLOTS:
        return (struct listing){&a->slots, a->slot_filter, &columns_of_slots};
    case SCREEN_PEERS:
        return (struct listing){&a->peers, a->peer_filter, &columns_of_peers};
    case SCREEN_RUNS:
        return (struct listing){&a->runs, a->run_filter, &columns_of_runs};
    case SCREEN_DOCTOR:
        return (struct listing){&a->doctor, a->doctor_filter, &columns_of_checks};
    case SCREEN_PICK:
        return (struct listing){&a->picks, a->pick_filter, &columns_of_picks};
    case SCREEN_LOG:
    case SCREEN_MESSAGES:
    case SCREEN_HELP:
    case SCREEN_REPORT:
    case SCREEN_SUMMARY:
    case SCREEN_FORM:
    case SCREEN_COUNT:
        break;
    }
    return (struct listing){.filter = a->filter};
}
