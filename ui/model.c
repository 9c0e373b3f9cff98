/* The engine in this process as the console's model; see model.h. */
#include "ui/model.h"

static const struct picture *in_picture(void *arg)
{
    return engine_picture(arg);
}

static void in_release(void *arg, const struct picture *p)
{
    (void)arg;
    picture_release(p);
}

static void in_subscribe(void *arg, int fd)
{
    engine_subscribe(arg, fd);
}

static void in_unsubscribe(void *arg, int fd)
{
    engine_unsubscribe(arg, fd);
}

static size_t in_log_tail(void *arg, const char *mirror, enum log_level least, struct log_row *out,
                          size_t max)
{
    return engine_log_tail(arg, mirror, least, out, max);
}

static bool in_command(void *arg, const char *mirror, const struct mirror_request *r, int limit_ms,
                       struct err *err)
{
    return engine_mirror_command(arg, mirror, r, limit_ms, NULL, err);
}

static bool in_report(void *arg, const char *mirror, struct verify_report *out, struct err *err)
{
    return engine_mirror_report(arg, mirror, out, err);
}

static bool in_cutover(void *arg, const char *mirror, const atomic_bool *give_up,
                       struct cutover *out, struct err *err)
{
    return engine_mirror_cutover(arg, mirror, give_up, out, err);
}

static bool in_doctor(void *arg, const char *mirror, const atomic_bool *give_up,
                      struct findings *out, struct err *err)
{
    return engine_mirror_doctor(arg, mirror, give_up, out, err);
}

void model_of_engine(struct engine *e, struct model *out)
{
    *out = (struct model){
        .arg = e,
        .picture = in_picture,
        .release = in_release,
        .subscribe = in_subscribe,
        .unsubscribe = in_unsubscribe,
        .log_tail = in_log_tail,
        .command = in_command,
        .report = in_report,
        .cutover = in_cutover,
        .doctor = in_doctor,
    };
}
