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
#define HASHES_AT_ONCE 2
#define HASH_WAIT_S 5

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static int running;

static bool take_turn(struct err *err)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HASH_WAIT_S;
    int rc = 0;
    pthread_mutex_lock(&lock);
    while (running >= HASHES_AT_ONCE && rc == 0)
        rc = pthread_cond_timedwait(&freed, &lock, &until);
    bool got = running < HASHES_AT_ONCE;
    running += got;
    pthread_mutex_unlock(&lock);
    return got || err_set(err, ERR_THROTTLED, "too many logins at the same time");
}

static void end_turn(void)
{
    pthread_mutex_lock(&lock);
    running--;
    pthread_cond_signal(&freed);
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
    if (!take_turn(err))
        return false;
    int rc = crypto_pwhash_str(hash, password, strlen(password), HASH_PASSES, HASH_BYTES);
    end_turn();
    if (rc != 0)
        return err_set(err, ERR_MEMORY, "no memory to hash a password");
    str_copy(out, PASSWORD_HASH_SIZE, hash);
    return true;
}

static char dummy_hash[PASSWORD_HASH_SIZE];
static pthread_once_t dummy_once = PTHREAD_ONCE_INIT;

static void make_dummy(void)
{
    struct err e;
    char random[33];
    randombytes_buf(random, sizeof random - 1);
    sodium_bin2hex(random, sizeof random, (unsigned char *)random, 16);
    if (!password_hash(random, dummy_hash, &e))
        dummy_hash[0] = '\0';
}

bool password_verify(const char *hash, const char *password, struct err *err)
{
    pthread_once(&dummy_once, make_dummy); /* by the first login of all, so that none tells */
    if (!take_turn(err))
        return false;
    int rc = crypto_pwhash_str_verify(hash ? hash : dummy_hash, password, strlen(password));
    end_turn();
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
