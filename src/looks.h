/* The keys and columns of the console, out of the configuration ([keys], [console]). */
#ifndef BUNNY_LOOKS_H
#define BUNNY_LOOKS_H

#include "src/conf.h"
#include "ui/look.h"

/* False: something there is wrong; *err names file, line, key and what. */
bool looks_read(const struct conf *c, struct look *out, struct err *err) MUST_CHECK;

#endif
