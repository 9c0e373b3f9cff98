/* UTF-8 as RFC 3629 has it: checked where text comes in, so that nobody behind has to. */
#ifndef BUNNY_UTF8_H
#define BUNNY_UTF8_H

#include <stdbool.h>

/* True when s is well-formed: no overlong forms, surrogates or values above U+10FFFF. */
bool utf8_is_valid(const char *s);
/* True when s holds a C0 control character or DEL. */
bool utf8_has_control(const char *s);

#endif
