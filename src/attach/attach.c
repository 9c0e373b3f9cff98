/* The attached console; see attach.h. */
#include "src/attach/attach.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "src/attach/link.h"
#include "src/signals.h"
#include "ui/console.h"

#define OPEN_LIMIT_MS 10000

/* What libraries print must not spoil the screen. Returns the terminal's descriptor, or -1. */
static int silence(void)
{
    int terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_to_fd(-1, LOG_LEVEL_ERROR);
    if (null >= 0) {
        dup2(null, STDERR_FILENO);
        close(null);
    }
    return terminal;
}

static void give_back(int terminal)
{
    if (terminal < 0)
        return;
    dup2(terminal, STDERR_FILENO);
    close(terminal);
}

static bool draw(struct link *l, int signal_fd, const struct look *look, struct err *err)
{
    char *choices = mem_printf("%s/console", link_model(l)->state_dir);
    const struct console_options options = {
        .stop_fd = signal_fd, .process = link_host(l), .choices = choices, .look = look};
    int terminal = silence();
    enum console_end end = console_run(link_model(l), &options, err);
    give_back(terminal);
    free(choices);
    return end != CONSOLE_FAILED;
}

enum exit_code attach_run(const char *state_dir, bool is_read_only, const struct look *look,
                          struct err *err)
{
    struct link *l = NULL;
    int signal_fd = -1;
    enum exit_code code = EXIT_FAILED;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        (void)err_set(err, ERR_INVALID, "the console needs a terminal, and this is none");
        (void)err_hint(err, "bunnydb top --once prints the same as plain text");
        return EXIT_FAILED;
    }
    if (!signals_take(&signal_fd, err))
        return EXIT_FAILED;
    if (!link_open(state_dir, is_read_only, OPEN_LIMIT_MS, &l, err))
        code = err->code == ERR_CONNECT ? EXIT_NO_PROCESS : EXIT_FAILED;
    else if (draw(l, signal_fd, look, err))
        code = EXIT_OK;
    link_close(l);
    close(signal_fd);
    return code;
}
