/* Throw-away servers for unit tests; see server.h. */
#include "tests/unit/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SKIPPED 77
#define BROKEN 99
#define START_MS 60000

static bool is_free(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    (void)close(fd);
    return is;
}

/* Below those that the kernel gives to any connection. */
static int free_port(void)
{
    unsigned seed = (unsigned)getpid() * 2654435761u ^ (unsigned)clock_mono_ms();
    for (int i = 0; i < 1000; i++) {
        int port = 10000 + (int)((unsigned)rand_r(&seed) % 22000);
        if (is_free(port))
            return port;
    }
    exit(BROKEN);
}

/* In the child: becomes the script. It hears of our end by a signal. */
static void run_script(const struct server *s, const char *settings, pid_t parent)
{
    const char *top = getenv("srcdir");
    char *command = mem_printf("exec sh '%s/tests/lib/server.sh' '%s' %d %s",
                               top && *top ? top : ".", s->dir, s->port, settings);
    if (!prctl(PR_SET_PDEATHSIG, SIGTERM) && getppid() == parent)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(BROKEN);
}

/* As pg_ctl does it: the eighth line of this file is the postmaster's state. */
static bool is_ready(const struct server *s)
{
    char line[256], *path = mem_printf("%s/data/postmaster.pid", s->dir);
    FILE *f = fopen(path, "r");
    bool is = false;
    free(path);
    if (!f)
        return false;
    for (int i = 1; fgets(line, sizeof line, f); i++)
        is = i == 8 && !strncmp(line, "ready", 5);
    (void)fclose(f);
    return is;
}

static void await_start(struct server *s)
{
    struct timespec pause = {.tv_nsec = 10000000};
    int64_t until = clock_mono_ms() + START_MS;
    int status;
    while (!is_ready(s)) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
            fputs(code == SKIPPED ? "skipped: there is no initdb (set PG_BIN to its folder), or "
                                    "BUNNYDB_NO_SERVERS is set\n"
                                  : "the server did not start\n",
                  stderr);
            exit(code == SKIPPED ? SKIPPED : BROKEN);
        }
        if (clock_mono_ms() > until) {
            fprintf(stderr, "the server did not start within %d s\n", START_MS / 1000);
            server_stop(s);
            exit(BROKEN);
        }
        nanosleep(&pause, NULL);
    }
}

void server_start(struct server *s, const char *settings)
{
    const char *top = getenv("TMPDIR");
    pid_t self = getpid();
    str_printf(s->dir, sizeof s->dir, "%s/bunny-test-XXXXXX", top && *top ? top : "/tmp");
    if (!mkdtemp(s->dir) || chmod(s->dir, 0755)) {
        fprintf(stderr, "%s: %s\n", s->dir, strerror(errno));
        exit(BROKEN);
    }
    str_printf(s->sock, sizeof s->sock, "%s/sock", s->dir);
    s->port = free_port();
    s->pid = fork();
    if (s->pid < 0)
        exit(BROKEN);
    if (!s->pid)
        run_script(s, settings, self);
    await_start(s);
}

void server_stop(struct server *s)
{
    (void)kill(s->pid, SIGTERM);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (!access(s->dir, F_OK))
        fprintf(stderr, "could not remove %s\n", s->dir);
}

struct pg_target server_target(const struct server *s, const char *database)
{
    return (struct pg_target){
        .host = s->sock, .port = s->port, .user = "postgres", .database = database};
}
