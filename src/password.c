/* Passwords; see password.h. */
#include "src/password.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

/* OWASP's first choice for argon2id (19 MiB, 2 passes): libsodium's own "interactive" takes 64 MiB,
 * which is as much as the whole process may use. The hash says its parameters, so that they can
 * be raised later. */
#define HASH_PASSES 2
#define HASH_BYTES (19U << 20)
#define AT_ONCE 2
#define WAITING_MAX 32 /* far fewer than threads that answer requests */
#define WAIT_S 5

/* The hash of a random password that nobody kept, for users that do not exist. */
static const char nobodys_hash[PASSWORD_HASH_SIZE] =
    "$argon2id$v=19$m=19456,t=2,p=1$EF3nqzgAYgxPhECL8eVZ0w$"
    "tNEpJbb+Vfe+Z532K69AtzS2XnXN7GlqX5EL5eZshzs";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed;
static int running, waiting;
static bool is_interrupted;

static void init(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&freed, &attr);
    pthread_condattr_destroy(&attr);
}

/* Under the lock; until there is a turn, or it is not worth waiting any more. */
static void wait_for_turn(void)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    int rc = 0;
    waiting++;
    while (running >= AT_ONCE && rc == 0 && !is_interrupted)
        rc = pthread_cond_timedwait(&freed, &lock, &until);
    waiting--;
}

bool password_begin(struct err *err)
{
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    if (running >= AT_ONCE && waiting < WAITING_MAX)
        wait_for_turn();
    bool stops = is_interrupted, got = !stops && running < AT_ONCE;
    running += got;
    pthread_mutex_unlock(&lock);
    if (stops)
        return err_set(err, ERR_SHUTTING_DOWN, "bunnydb is stopping");
    return got || err_set(err, ERR_THROTTLED, "too many logins at the same time");
}

void password_end(void)
{
    pthread_mutex_lock(&lock);
    running--;
    pthread_cond_signal(&freed);
    pthread_mutex_unlock(&lock);
}

void password_interrupt(void)
{
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    is_interrupted = true;
    pthread_cond_broadcast(&freed);
    pthread_mutex_unlock(&lock);
}

bool password_check_rule(const char *password, struct err *err)
{
    size_t n = strlen(password);
    if (n >= PASSWORD_MIN && n <= PASSWORD_MAX)
        return true;
    return err_set(err, ERR_INVALID, "the password must have from %d to %d bytes", PASSWORD_MIN,
                   PASSWORD_MAX);
}

bool password_hash(const char *password, char out[PASSWORD_HASH_SIZE], struct err *err)
{
    char hash[crypto_pwhash_STRBYTES];
    if (!password_begin(err))
        return false;
    int rc = crypto_pwhash_str(hash, password, strlen(password), HASH_PASSES, HASH_BYTES);
    password_end();
    if (rc != 0)
        return err_set(err, ERR_MEMORY, "no memory to hash a password");
    str_copy(out, PASSWORD_HASH_SIZE, hash);
    return true;
}

bool password_verify(const char *hash, const char *password, struct err *err)
{
    const char *against = hash ? hash : nobodys_hash;
    int rc = crypto_pwhash_str_verify(against, password, strlen(password));
    if (rc == 0 && hash)
        return true;
    return err_set(err, ERR_CREDENTIALS, "wrong user name or password");
}

/* --- From people ------------------------------------------------------------------------------ */
/* One line from fd, without its end. False at the end of input or when it is too long. */
static bool read_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    char c;
    for (ssize_t got; (got = read(fd, &c, 1)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (c == '\n')
            break;
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    if (n && out[n - 1] == '\r')
        n--;
    out[n] = '\0';
    return n > 0;
}

static bool ask(int tty, const char *prompt, char *out, size_t size)
{
    struct termios before, silent;
    if (tcgetattr(tty, &before) < 0)
        return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    dprintf(tty, "%s: ", prompt);
    tcsetattr(tty, TCSAFLUSH, &silent);
    bool ok = read_line(tty, out, size);
    tcsetattr(tty, TCSAFLUSH, &before);
    dprintf(tty, "\n");
    return ok;
}

static bool ask_twice(char *out, size_t size, struct err *err)
{
    char again[PASSWORD_MAX + 2] = "";
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0) {
        (void)err_set(err, ERR_INVALID, "no terminal to ask for the password");
        return err_hint(err, "use --password-stdin");
    }
    bool ok = ask(tty, "Password", out, size) && ask(tty, "Again", again, sizeof again);
    if (!ok)
        (void)err_set(err, ERR_INVALID, "no password was given");
    else if (strcmp(out, again) != 0)
        ok = err_set(err, ERR_INVALID, "the two passwords differ");
    sodium_memzero(again, sizeof again);
    close(tty);
    return ok;
}

bool password_read(bool from_stdin, char *out, size_t size, struct err *err)
{
    if (!from_stdin)
        return ask_twice(out, size, err);
    return read_line(STDIN_FILENO, out, size) ||
           err_set(err, ERR_INVALID, "standard input has no password in its first line");
}
