/* Who applies: what a process tells about itself in the progress row, so that another one that
 * wants to apply to the same mirror can name it, and so that one that was killed and started again
 * knows its own leftovers. Immutable once it is made. */
#ifndef BUNNY_APPLIER_H
#define BUNNY_APPLIER_H

struct applier {
    char id[256];   /* of the state directory on this machine: only one process has it at a time */
    char name[128]; /* "PID 4711 on db7" */
};

/* state_dir must be locked by this process. */
void applier_describe(const char *state_dir, struct applier *out);

#endif
