#include "app/train/progress.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_LEAST = 10, BAR_MOST = 40 };

struct hl_progress {
    hl_progress_options o;
    bool bar, colour;
    bool drawn; /* the cursor stands at the end of a bar */
    hl_progress_state state;
    int widest;                      /* the longest text beside the bar so far */
    bool stale;                      /* state is newer than the bar */
    double last_draw;                /* s */
    double last_time;                /* of the rates */
    int64_t last_step, last_samples; /* likewise */
    double steps_per_s, samples_per_s;
};

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

hl_progress *hl_progress_new(const hl_progress_options *options)
{
    hl_progress *p = hl_alloc(1, sizeof *p);
    if (!p)
        return NULL;
    const char *terminal = getenv("TERM");
    p->o = *options;
    p->o.now = p->o.now ? p->o.now : hl_seconds;
    p->bar = p->o.look == HL_PROGRESS_BAR || (p->o.look == HL_PROGRESS_AUTO && isatty(fileno(p->o.to)) &&
                                              !(terminal && !strcmp(terminal, "dumb")));
    p->colour = p->bar && !is_set("NO_COLOR");
    p->last_time = p->o.now();
    p->last_draw = -INFINITY;
    p->last_step = p->o.first;
    return p;
}

/* ------------------------------------------------------------------ rates */

/* An average that forgets over ten seconds: steady to look at, yet it follows a change. */
static double follow(double average, double rate, double seconds, bool first)
{
    double keep = first ? 0 : exp(-seconds / 10);
    return keep * average + (1 - keep) * rate;
}

/* Half a second of steps at least: single steps of a few milliseconds jitter. */
static void measure(hl_progress *p)
{
    double now = p->o.now(), seconds = now - p->last_time;
    bool first = p->steps_per_s == 0, last = p->state.step >= p->o.steps;
    int64_t steps = p->state.step - p->last_step;
    if (steps <= 0 || seconds <= 0 || (seconds < 0.5 && !(first && last)))
        return;
    p->steps_per_s = follow(p->steps_per_s, (double)steps / seconds, seconds, first);
    p->samples_per_s = follow(p->samples_per_s, (double)(p->state.samples - p->last_samples) / seconds,
                              seconds, first);
    p->last_time = now;
    p->last_step = p->state.step;
    p->last_samples = p->state.samples;
}

/* "8s", "3m05s", "2h07m", "4d03h" */
static void append_duration(hl_text *t, double seconds)
{
    long long s = (long long)(seconds < 1e12 ? seconds + 0.5 : 1e12);
    if (s < 60)
        hl_text_appendf(t, "%llds", s);
    else if (s < 3600)
        hl_text_appendf(t, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        hl_text_appendf(t, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        hl_text_appendf(t, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

/* ------------------------------------------------------------------ text */

/* The values, the rate and the time left: "  loss 0.123  kl 0.01  412 samples/s  3m05s left" */
static char *describe(const hl_progress *p)
{
    hl_text t = {0};
    for (int i = 0; i < p->state.n; i++)
        hl_text_appendf(&t, "  %s %.4g", p->state.value[i].name, p->state.value[i].value);
    if (p->steps_per_s > 0 && p->state.samples > 0)
        hl_text_appendf(&t, "  %.*f %s/s", p->samples_per_s < 10 ? 1 : 0, p->samples_per_s,
                        p->o.unit ? p->o.unit : "samples");
    if (p->steps_per_s > 0 && p->state.step < p->o.steps) {
        hl_text_append(&t, "  ");
        append_duration(&t, (double)(p->o.steps - p->state.step) / p->steps_per_s);
        hl_text_append(&t, " left");
    }
    return hl_text_take(&t);
}

static int columns(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* One line, cut to the terminal's width: a longer one would wrap, and could not be drawn over. */
static void draw_bar(hl_progress *p)
{
    char count[64], *values = describe(p);
    if (!values)
        return;
    double done = p->o.steps > 0 ? (double)p->state.step / (double)p->o.steps : 1;
    snprintf(count, sizeof count, "%lld/%lld ", (long long)p->state.step, (long long)p->o.steps);
    int room = columns(p->o.to) - 1, used = (int)strlen(count) + 2;
    p->widest = (int)strlen(values) > p->widest ? (int)strlen(values) : p->widest;
    int bar = room - used - p->widest; /* so that the bar's end does not dance */
    bar = bar > BAR_MOST ? BAR_MOST : bar < BAR_LEAST ? 0 : bar;
    int filled = (int)(fmin(1, fmax(0, done)) * bar);
    fprintf(p->o.to, "\r%.*s", room, count);
    if (bar) {
        fprintf(p->o.to, "[%s", p->colour ? "\033[32m" : "");
        for (int i = 0; i < bar; i++)
            fprintf(p->o.to, "%s%c", p->colour && i == filled ? "\033[2m" : "", i < filled ? '#' : '.');
        fprintf(p->o.to, "%s]", p->colour ? "\033[0m" : "");
    }
    room -= bar ? used + bar : (int)strlen(count);
    fprintf(p->o.to, "%.*s\033[K", room > 0 ? room : 0, values);
    fflush(p->o.to);
    hl_free(values);
    p->drawn = true;
    p->stale = false;
    p->last_draw = p->o.now();
}

static void print_line(hl_progress *p)
{
    char *values = describe(p);
    if (!values)
        return;
    fprintf(p->o.to, "step %lld/%lld%s\n", (long long)p->state.step, (long long)p->o.steps, values);
    fflush(p->o.to);
    hl_free(values);
}

/* ------------------------------------------------------------------ interface */

void hl_progress_show(hl_progress *p, const hl_progress_state *state)
{
    if (!p)
        return;
    HL_ASSERT(state->n >= 0 && state->n <= HL_PROGRESS_VALUES);
    p->state = *state;
    p->stale = true;
    bool last = state->step >= p->o.steps;
    if (p->bar) {
        measure(p);
        if (last || p->o.now() - p->last_draw >= 0.1)
            draw_bar(p);
    } else if (last || p->o.every <= 1 || state->step % p->o.every == 0) {
        measure(p);
        print_line(p);
    }
}

void hl_progress_note(hl_progress *p, const char *format, ...)
{
    FILE *to = p ? p->o.to : stderr;
    va_list args;
    if (p && p->drawn)
        fputs("\r\033[K", to);
    va_start(args, format);
    vfprintf(to, format, args);
    va_end(args);
    fputc('\n', to);
    fflush(to);
    if (p && p->drawn)
        draw_bar(p);
}

void hl_progress_free(hl_progress *p)
{
    if (!p)
        return;
    if (p->bar && p->stale)
        draw_bar(p);
    if (p->drawn) {
        fputc('\n', p->o.to);
        fflush(p->o.to);
    }
    hl_free(p);
}
