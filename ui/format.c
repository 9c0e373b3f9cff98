/* Numbers and times in few columns; see format.h. */
#include "ui/format.h"

#include <stddef.h>
#include <time.h>

#include "base/mem.h"

/* At most four characters: 999, 9.1k, 885k, 2.9M. 999.6 must not become "1000k". */
static const char *format_scaled(double v, double step, const char *units, char *out)
{
    size_t u = 0;
    while (v >= (u == 0 ? step : 999.5) && units[u + 1]) {
        v /= step;
        u++;
    }
    if (u == 0)
        str_printf(out, FORMAT_SIZE, "%.0f", v);
    else if (v < 9.95)
        str_printf(out, FORMAT_SIZE, "%.1f%c", v, units[u]);
    else
        str_printf(out, FORMAT_SIZE, "%.0f%c", v, units[u]);
    return out;
}

static const char *unknown(char *out)
{
    str_copy(out, FORMAT_SIZE, "-");
    return out;
}

const char *format_count(int64_t n, char out[FORMAT_SIZE])
{
    return n < 0 ? unknown(out) : format_scaled((double)n, 1000, " kMGTPE", out);
}

const char *format_bytes(int64_t n, char out[FORMAT_SIZE])
{
    return n < 0 ? unknown(out) : format_scaled((double)n, 1024, " kMGTPE", out);
}

const char *format_seconds(double s, char out[FORMAT_SIZE])
{
    if (!(s >= 0))
        return unknown(out);
    if (s < 9.95) {
        str_printf(out, FORMAT_SIZE, "%.1fs", s);
        return out;
    }
    int64_t t = s < 1e12 ? (int64_t)(s + 0.5) : (int64_t)1e12;
    if (t < 60)
        str_printf(out, FORMAT_SIZE, "%ds", (int)t);
    else if (t < 3600)
        str_printf(out, FORMAT_SIZE, "%dm%02ds", (int)(t / 60), (int)(t % 60));
    else if (t < 86400)
        str_printf(out, FORMAT_SIZE, "%dh%02dm", (int)(t / 3600), (int)(t / 60 % 60));
    else if (t < 100 * 86400)
        str_printf(out, FORMAT_SIZE, "%dd%02dh", (int)(t / 86400), (int)(t / 3600 % 24));
    else
        str_printf(out, FORMAT_SIZE, "%lldd", (long long)(t / 86400));
    return out;
}

const char *format_age(int64_t s, char out[FORMAT_SIZE])
{
    if (s < 0)
        return unknown(out);
    if (s < 60)
        str_printf(out, FORMAT_SIZE, "%ds", (int)s);
    else if (s < 3600)
        str_printf(out, FORMAT_SIZE, "%dm", (int)(s / 60));
    else
        return format_seconds((double)s, out);
    return out;
}

const char *format_countdown(int64_t s, char out[FORMAT_SIZE])
{
    if (s < 0)
        return unknown(out);
    long long t = (long long)s;
    if (t < 3600)
        str_printf(out, FORMAT_SIZE, "%lld:%02lld", t / 60, t % 60);
    else
        str_printf(out, FORMAT_SIZE, "%lld:%02lld:%02lld", t / 3600, t / 60 % 60, t % 60);
    return out;
}

const char *format_percent(int64_t done, int64_t total, char out[FORMAT_SIZE])
{
    if (done < 0 || total <= 0)
        return unknown(out);
    /* 100 % is only what is complete. */
    int p = done >= total ? 100 : (int)((double)done * 100 / (double)total);
    str_printf(out, FORMAT_SIZE, "%d%%", p > 99 && done < total ? 99 : p);
    return out;
}

static const char *format_local(int64_t wall_us, const char *fmt, char *out)
{
    if (wall_us <= 0)
        return unknown(out);
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm;
    localtime_r(&t, &tm);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (!strftime(out, FORMAT_SIZE, fmt, &tm))
        return unknown(out);
#pragma GCC diagnostic pop
    return out;
}

const char *format_time(int64_t wall_us, bool seconds, char out[FORMAT_SIZE])
{
    return format_local(wall_us, seconds ? "%H:%M:%S" : "%H:%M", out);
}

const char *format_date_time(int64_t wall_us, char out[FORMAT_SIZE])
{
    return format_local(wall_us, "%Y-%m-%d %H:%M:%S", out);
}

int format_lag_step(double seconds)
{
    static const double above[] = {0.5, 1, 3, 10, 30, 120, 600};
    if (!(seconds >= 0))
        return -1;
    int step = 0;
    while (step < (int)COUNT_OF(above) && seconds >= above[step])
        step++;
    return step;
}

/* The largest of those that part i of width stands for; negative: there is none. */
static double part_of(const float *samples, int n, int i, int width)
{
    int from = (int)((int64_t)i * n / width), to = (int)((int64_t)(i + 1) * n / width);
    double most = -1;
    for (int k = from; k < (to > from ? to : from + 1) && k < n; k++)
        if ((double)samples[k] > most)
            most = (double)samples[k];
    return most;
}

void format_graph(const float *samples, int n, int *steps, int width)
{
    for (int i = 0; i < width; i++)
        steps[i] = format_lag_step(part_of(samples, n, i, width));
}

void format_scaled_graph(const float *samples, int n, int *steps, int width)
{
    double most = n > 0 ? part_of(samples, n, 0, 1) : -1;
    for (int i = 0; i < width; i++) {
        double v = part_of(samples, n, i, width);
        steps[i] = v < 0 ? -1 : v > 0 ? 1 + (int)(v * 6 / most) : 0;
    }
}
