/* The running process: state directory, engine, listeners, console, and their end. Main thread. */
#ifndef BUNNY_PROCESS_H
#define BUNNY_PROCESS_H

#include "src/conf.h"
#include "src/options.h"
#include "ui/look.h"

/* Runs until a signal or the operator ends it. False: it could not start; *err says why. */
bool process_run(const struct options *o, const struct conf *c, const struct look *look,
                 struct err *err) MUST_CHECK;

#endif
