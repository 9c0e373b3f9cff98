/* A mirror's settings change: recorded at once, and followed at a moment at which nothing is lost
 * or done again; see mirror_private.h. */
#include "control/mirror_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static const struct mirror_settings *recorded(const struct mirror *m)
{
    return m->has_wanted ? &m->wanted : &m->row.config.settings;
}

void mirror_show_settings(struct mirror *m)
{
    const struct mirror_settings *s = recorded(m);
    m->live.settings = *s;
    m->live.settings_wait = m->has_wanted;
    str_copy(m->live.on_table_error, sizeof m->live.on_table_error, s->on_table_error);
    str_copy(m->live.resync_strategy, sizeof m->live.resync_strategy, s->resync_strategy);
    show_dirty(m);
}

/* What is under way would begin anew with another run: it goes first. */
static bool is_free(const struct mirror *m)
{
    return m->row.snapshot_done && !m->is_copying && !m->verification;
}

bool mirror_settings_are_due(const struct mirror *m)
{
    return m->has_wanted && m->row.wish == WISH_RUN && is_free(m);
}

void mirror_adopt_settings(struct mirror *m)
{
    struct mirror_settings *s = &m->row.config.settings;
    if (!m->has_wanted)
        return;
    char *text = settings_changes(s, &m->wanted);
    if (settings_differ(s, &m->wanted) & settings_of_comparison())
        m->compared[0] = '\0'; /* a run that went on meanwhile may have compared by the old ones */
    *s = m->wanted;
    m->has_wanted = false;
    mirror_show_settings(m);
    log_info("super", m->row.config.name, "settings in effect: %s", text);
    free(text);
}

/* Before the next run it is as if they had always been so. */
static void follow(struct mirror *m, const struct mirror_settings *next)
{
    struct mirror_settings *s = &m->row.config.settings;
    settings_put(s, next, settings_live());
    m->wanted = *next;
    m->has_wanted = settings_differ(s, next) != 0;
    if (m->live.state == MIRROR_ERROR && m->row.wish == WISH_RUN) { /* tried at once */
        m->retry_at = 0;
        m->is_held = false;
        m->asked = 0;
    }
    mirror_show_settings(m);
}

static const char *when(const struct mirror *m)
{
    if (!m->has_wanted)
        return "in effect now";
    if (m->row.wish != WISH_RUN)
        return "in effect when the mirror is resumed";
    if (m->live.state == MIRROR_ERROR)
        return "the mirror tries again with them";
    return is_free(m) ? "the mirror begins a new run with them"
                      : "in effect with the next run, which begins by itself once what is being "
                        "copied or compared is done; pause and resume begin it now";
}

bool mirror_adjust(struct mirror *m, struct command *c, struct err *err)
{
    const char *name = m->row.config.name;
    struct mirror_settings before = *recorded(m), next = before;
    settings_put(&next, &c->settings, c->changes);
    unsigned changed = settings_differ(&before, &next);
    if (!changed) {
        c->note = mem_strdup("nothing is changed: the mirror has these settings already");
        return true;
    }
    if ((changed & settings_of_comparison() && !differences_forget(m, err)) ||
        !catalog_mirror_set_settings(m->engine->catalog, name, &next, err))
        return false;
    char *text = settings_changes(&before, &next);
    log_info("super", name, "settings changed: %s by=%s", text, c->op.by);
    follow(m, &next);
    c->note = mem_printf("%s; %s", text, when(m));
    free(text);
    return true;
}
