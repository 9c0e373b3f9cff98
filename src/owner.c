/* Names of users; see owner.h. */
#include "src/owner.h"

#include <pwd.h>

#include "base/mem.h"

const char *owner_name(uid_t uid, const char *where, char *out, size_t size)
{
    char texts[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, texts, sizeof texts, &found) == 0 && found && *found->pw_name)
        str_printf(out, size, "%.40s (%s)", found->pw_name, where);
    else
        str_printf(out, size, "uid %lu (%s)", (unsigned long)uid, where);
    return out;
}
