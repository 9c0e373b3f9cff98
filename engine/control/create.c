/* Creation of a mirror: everything is checked, both servers are asked, and only then is it recorded
 * and started. A refusal leaves nothing anywhere. */
#include "engine.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/check.h"
#include "control/roster.h"
#include "control/sampler.h"
#include "control/servers.h"

/* --- the configuration alone
 * -------------------------------------------------------------------------- */

/* Slot names: lower case letters, digits and underscores (PostgreSQL docs, "Replication Slots"). */
static bool check_slot_name(const char *value, struct err *err)
{
    for (const char *p = value; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
            return err_set(err, ERR_INVALID,
                           "replication_slot_name: may hold lower case letters, "
                           "digits and \"_\"");
    return true;
}

static bool check_config(const struct mirror_config *c, struct err *err)
{
    if (!check_name("name", c->name, err) ||
        !check_identifier("source_peer", c->source_peer, true, err) ||
        !check_identifier("destination_peer", c->dest_peer, true, err) ||
        !check_maps(c->tables, c->n_tables, err) || !settings_check(&c->settings, TUNE_ALL, err))
        return false;
    return check_identifier("publication_name", c->publication, true, err) &&
           check_slot_name(c->slot, err);
}

/* bunny_slot_<name>: in lower case, every character outside [a-z0-9_] as '_'. */
static void default_name(char out[NAME_SIZE], const char *prefix, const char *name)
{
    if (out[0])
        return;
    str_printf(out, NAME_SIZE, "%s%s", prefix, name);
    for (char *p = out; *p; p++) {
        *p = (char)tolower((unsigned char)*p);
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p))
            *p = '_';
    }
}

static struct mirror_config copy_config(const struct mirror_config *c)
{
    struct mirror_config copy = *c;
    copy.tables = mem_calloc(c->n_tables, sizeof *copy.tables);
    for (size_t i = 0; i < c->n_tables; i++)
        table_map_copy(&copy.tables[i], &c->tables[i]);
    default_name(copy.publication, "bunny_pub_", c->name);
    default_name(copy.slot, "bunny_slot_", c->name);
    return copy;
}

/* --- together
 * ------------------------------------------------------------------------------------------- */

static bool check_peers(struct engine *e, const struct mirror_config *c, struct err *err)
{
    struct peer p;
    struct err found = {0};
    const char *names[] = {c->source_peer, c->dest_peer};
    const char *fields[] = {"source_peer", "destination_peer"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (catalog_peer_get(e->catalog, names[i], &p, &found)) {
            peer_free(&p);
            continue;
        }
        if (found.code != ERR_PEER_NOT_FOUND) {
            *err = found;
            return false;
        }
        err_set(err, ERR_PEER_NOT_FOUND, "%s: peer \"%s\" does not exist", fields[i], names[i]);
        return err_hint(err, "Create the peer first.");
    }
    return true;
}

static bool check_is_new(struct engine *e, const struct mirror_config *c, struct err *err)
{
    struct mirror_row row;
    struct err found = {0};
    if (catalog_mirror_get(e->catalog, c->name, &row, &found)) {
        mirror_row_free(&row);
        return err_set(err, ERR_MIRROR_EXISTS, "mirror \"%s\" exists already", c->name);
    }
    if (found.code == ERR_MIRROR_NOT_FOUND)
        return true;
    *err = found;
    return false;
}

static bool record_and_start(struct engine *e, struct mirror_config *config, struct err *err)
{
    struct mirror_row row = {.config = *config, .wish = WISH_RUN};
    *config = (struct mirror_config){0}; /* moved */
    if (!catalog_mirror_insert(e->catalog, &row, err)) {
        mirror_row_free(&row);
        return false;
    }
    log_info("super", row.config.name, "created: source=%s destination=%s tables=%zu",
             row.config.source_peer, row.config.dest_peer, row.config.n_tables);
    struct mirror *m = mirror_new(e, &row);
    roster_add(e->roster, m);
    sampler_watch(e->sampler, mirror_config_of(m));
    return mirror_start(m, err);
}

bool engine_mirror_create(struct engine *e, const struct mirror_config *config,
                          struct findings *findings, struct err *err)
{
    struct findings own = {0};
    struct findings *f = findings ? findings : &own;
    struct mirror_config c = copy_config(config);
    bool ok = check_config(&c, err) && check_is_new(e, &c, err) && check_peers(e, &c, err) &&
              servers_check(e, &c, NULL, f, err) && record_and_start(e, &c, err);
    if (!ok)
        engine_explain_cancel(e, err);
    mirror_config_free(&c);
    findings_free(&own);
    return ok;
}
