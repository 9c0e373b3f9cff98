/* The state directory; see state_dir.h. */
#include "src/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

char *state_dir_path(const char *wish, struct err *err)
{
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (wish)
        return realpath(wish, NULL) ?: mem_strdup(wish);
    if (geteuid() == 0)
        return mem_strdup("/var/lib/bunnydb");
    if (xdg && *xdg == '/')
        return mem_printf("%s/bunnydb", xdg);
    if (home && *home == '/')
        return mem_printf("%s/.local/state/bunnydb", home);
    (void)err_set(err, ERR_INVALID, "no state directory: HOME is not set");
    (void)err_hint(err, "name one with --state-dir");
    return NULL;
}

static bool make_parents(const char *dir, struct err *err)
{
    char *path = mem_strdup(dir);
    bool ok = true;
    for (char *p = path + 1; ok && *p; p++)
        if (*p == '/') {
            *p = '\0';
            ok = mkdir(path, 0755) == 0 || errno == EEXIST;
            if (!ok)
                (void)err_set(err, ERR_IO, "cannot make directory %s: %s", path, strerror(errno));
            *p = '/';
        }
    free(path);
    return ok;
}

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n == 0;
}

bool state_dir_make(const char *dir, struct err *err)
{
    struct stat st;
    if (!make_parents(dir, err))
        return false;
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set(err, ERR_IO, "cannot make state directory %s: %s", dir, strerror(errno));
    if (stat(dir, &st) < 0)
        return err_set(err, ERR_IO, "state directory %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, "state directory %s is not a directory", dir);
    if (st.st_uid != geteuid()) {
        (void)err_set(err, ERR_IO, "state directory %s belongs to another user (uid %u)", dir,
                      (unsigned)st.st_uid);
        return err_hint(err, "run bunnydb as that user, or name another directory");
    }
    /* A directory that somebody filled may be one that others need: not ours to close. */
    if ((st.st_mode & 077) && !(is_empty(dir) && chmod(dir, 0700) == 0)) {
        (void)err_set(err, ERR_IO, "state directory %s can be entered by others (mode %04o)", dir,
                      (unsigned)st.st_mode & 07777);
        return err_hint(err, "chmod 700 %s", dir);
    }
    return true;
}

/* Who holds the lock: the kernel knows the PID, unless it is in another PID namespace. */
static int find_holder(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[16] = "";
    if (fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 0)
        return (int)l.l_pid;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

bool state_dir_lock(const char *dir, int *fd, int *holder, struct err *err)
{
    char *path = mem_printf("%s/%s", dir, LOCK_FILE);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    *holder = 0;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        (void)err_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
        free(path);
        return false;
    }
    free(path);
    if (fcntl(*fd, F_SETLK, &l) == 0) {
        if (ftruncate(*fd, 0) == 0)
            dprintf(*fd, "%d\n", (int)getpid());
        return true;
    }
    *holder = find_holder(*fd);
    close(*fd);
    *fd = -1;
    (void)err_set(err, ERR_BUSY, "another bunnydb (PID %d) runs on state directory %s", *holder,
                  dir);
    return err_hint(err, "stop it, or name another directory with --state-dir");
}
