#include "app/stress/monitor.h"

#include "base/condition.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/nvml.h"
#include "base/process.h"
#include "base/timeline.h"
#include "base/trend.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { ROWS = 600, CATEGORIES = HL_USES + 1 /* and the heap */ };

struct hl_monitor {
    double period;
    hl_cores *cores, *phase_cores; /* since the last sample; since the phase began. Or NULL */
    hl_nvml *nvml;                 /* or NULL */
    hl_error no_cores, no_gpu, no_peak;
    hl_timeline *busy, *resident, *categories;
    double *percent;       /* of the cores, at a sample */
    double *phase_percent; /* in the phase */
    double gpu[HL_GPU_VALUES];
    uint64_t gpu_samples[HL_GPU_VALUES];
    double began, seconds, cpu_seconds, rss, peak; /* of the phase */
    uint64_t allocations;

    bool running; /* known to the owner alone */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop; /* under lock; all else is the thread's while it runs */
};

/* ------------------------------------------------------------------ sampling */

static void sample_memory(hl_monitor *m)
{
    double at = hl_seconds() - m->began, categories[CATEGORIES];
    hl_allocated a = hl_allocated_now();
    m->rss = hl_resident_bytes();
    for (int u = 0; u < HL_USES; u++)
        categories[u] = (double)a.live[u];
    categories[HL_USES] = (double)a.heap;
    hl_timeline_add(m->resident, at, &m->rss);
    hl_timeline_add(m->categories, at, categories);
}

static void sample_gpu(hl_monitor *m)
{
    double values[HL_GPU_VALUES];
    hl_error fault;
    if (hl_nvml_read(m->nvml, values, &fault) != HL_OK)
        m->no_gpu = fault; /* of some values, which are NaN */
    for (int v = 0; v < HL_GPU_VALUES; v++)
        if (!isnan(values[v]))
            m->gpu[v] += (values[v] - m->gpu[v]) / (double)++m->gpu_samples[v];
}

static void sample(hl_monitor *m)
{
    sample_memory(m);
    if (m->cores) {
        (void)hl_cores_read(m->cores, m->percent, &m->no_cores);
        hl_timeline_add(m->busy, hl_seconds() - m->began, m->percent);
    }
    if (m->nvml)
        sample_gpu(m);
}

static void *watch(void *context)
{
    hl_monitor *m = context;
    double next = m->began + m->period;
    pthread_mutex_lock(&m->lock);
    while (!m->stop) {
        if (hl_condition_wait(&m->wake, &m->lock, next))
            continue;
        pthread_mutex_unlock(&m->lock);
        sample(m);
        next = fmax(next + m->period, hl_seconds()); /* samples that were missed are not made up for */
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* ------------------------------------------------------------------ phases */

static void begin(hl_monitor *m)
{
    hl_timeline_clear(m->resident);
    hl_timeline_clear(m->categories);
    memset(m->gpu, 0, sizeof m->gpu);
    memset(m->gpu_samples, 0, sizeof m->gpu_samples);
    m->no_peak = (hl_error){0};
    (void)hl_peak_resident_restart(&m->no_peak);
    hl_allocated_new_peaks();
    m->stop = false;
    if (m->cores) {
        hl_timeline_clear(m->busy);
        m->no_cores = (hl_error){0};
        (void)hl_cores_read(m->cores, m->percent, &m->no_cores);
        (void)hl_cores_read(m->phase_cores, m->phase_percent, &m->no_cores);
    }
    if (m->nvml)
        m->no_gpu = (hl_error){0};
    m->allocations = hl_alloc_count();
    m->cpu_seconds = hl_cpu_seconds();
    m->began = hl_seconds();
    sample_memory(m);
}

static void end(hl_monitor *m)
{
    m->allocations = hl_alloc_count() - m->allocations;
    m->seconds = hl_seconds() - m->began;
    m->cpu_seconds = hl_cpu_seconds() - m->cpu_seconds;
    sample_memory(m);
    m->peak = hl_peak_resident_bytes();
    if (m->cores)
        (void)hl_cores_read(m->phase_cores, m->phase_percent, &m->no_cores);
}

hl_status hl_monitor_start(hl_monitor *m, hl_error *err)
{
    sigset_t all, old;
    HL_ASSERT(!m->running);
    begin(m);
    sigfillset(&all); /* signals belong to the program's own thread */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&m->thread, NULL, watch, m);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    m->running = code == 0;
    return code ? hl_fail(err, HL_ERR_MEMORY, "no thread to watch the machine: %s", strerror(code)) : HL_OK;
}

void hl_monitor_stop(hl_monitor *m)
{
    if (!m->running)
        return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_cond_signal(&m->wake);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->thread, NULL);
    m->running = false;
    end(m);
}

/* ------------------------------------------------------------------ making */

static hl_timeline *timeline(const hl_monitor *m, int columns)
{
    hl_summary *summary = hl_alloc((size_t)columns, sizeof *summary); /* zero: means */
    hl_timeline *t = summary ? hl_timeline_new(columns, summary, ROWS, m->period) : NULL;
    hl_free(summary);
    return t;
}

static bool watch_cores(hl_monitor *m, const char *path)
{
    m->cores = hl_cores_new(path, &m->no_cores);
    m->phase_cores = m->cores ? hl_cores_new(path, &m->no_cores) : NULL;
    if (!m->phase_cores) {
        hl_cores_free(m->cores);
        m->cores = NULL;
        return m->no_cores.status != HL_ERR_MEMORY;
    }
    int n = hl_cores_count(m->cores);
    m->busy = timeline(m, n);
    m->percent = hl_alloc((size_t)n, sizeof *m->percent);
    m->phase_percent = hl_alloc((size_t)n, sizeof *m->phase_percent);
    return m->busy && m->percent && m->phase_percent;
}

static bool watch_gpu(hl_monitor *m, const hl_monitor_options *o)
{
    if (o->gpu < 0 && !o->gpu_bus)
        hl_fail(&m->no_gpu, HL_ERR_UNSUPPORTED, "none was asked about");
    else
        m->nvml = hl_nvml_open(o->gpu_bus, o->gpu, &m->no_gpu);
    return m->no_gpu.status != HL_ERR_MEMORY;
}

hl_monitor *hl_monitor_new(const hl_monitor_options *o, hl_error *err)
{
    hl_monitor *m = hl_alloc(1, sizeof *m);
    if (m && !hl_condition_init(&m->wake, &m->lock)) {
        hl_free(m);
        m = NULL;
    }
    if (m) {
        m->period = o->period > 0 ? o->period : 0.2;
        m->resident = timeline(m, 1);
        m->categories = timeline(m, CATEGORIES);
        if (m->resident && m->categories && watch_cores(m, o->proc_stat ? o->proc_stat : "/proc/stat") &&
            watch_gpu(m, o))
            return m;
    }
    hl_fail(err, HL_ERR_MEMORY, "no memory to watch the machine");
    hl_monitor_free(m);
    return NULL;
}

void hl_monitor_free(hl_monitor *m)
{
    if (!m)
        return;
    hl_monitor_stop(m);
    hl_condition_destroy(&m->wake, &m->lock);
    hl_cores_free(m->cores);
    hl_cores_free(m->phase_cores);
    hl_nvml_close(m->nvml);
    hl_timeline_free(m->busy);
    hl_timeline_free(m->resident);
    hl_timeline_free(m->categories);
    hl_free(m->percent);
    hl_free(m->phase_percent);
    hl_free(m);
}

/* ------------------------------------------------------------------ results */

static const char *reason(const hl_error *absent)
{
    return absent->status ? absent->message : NULL;
}

static json_t *bytes(double n)
{
    return isnan(n) ? json_null() : json_integer((json_int_t)n);
}

static json_t *numbers(const double *values, int n)
{
    json_t *array = json_array();
    bool whole = array != NULL;
    for (int i = 0; i < n && whole; i++)
        whole = json_array_append_new(array, hl_json_number(values[i])) == 0;
    if (whole)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *gpu(const hl_monitor *m)
{
    if (!m->nvml)
        return json_null();
    json_t *j = json_pack("{s:s, s:s}", "name", hl_nvml_name(m->nvml), "driver", hl_nvml_driver(m->nvml));
    for (int v = 0; v < HL_GPU_VALUES; v++) {
        double mean = m->gpu_samples[v] ? m->gpu[v] : NAN;
        json_t *value = v == HL_GPU_MEMORY ? bytes(mean) : hl_json_number(mean);
        if (json_object_set_new(j, hl_gpu_value_name((hl_gpu_value)v), value) != 0) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}

json_t *hl_monitor_system(const hl_monitor *m)
{
    HL_ASSERT(!m->running);
    const char *no_gpu = reason(&m->no_gpu);
    if (!no_gpu && !m->gpu_samples[HL_GPU_UTILISATION])
        no_gpu = "the phase was shorter than the time between samples";
    return json_pack(
        "{s:o, s:s*, s:o, s:o, s:o, s:s*}", "cpu_percent",
        m->cores ? numbers(m->phase_percent, hl_cores_count(m->cores)) : json_null(), "cpu_absent",
        reason(&m->no_cores), "process_cpu_percent", hl_json_number(100 * m->cpu_seconds / m->seconds),
        "timeline", m->cores ? hl_timeline_json(m->busy) : json_array(), "gpu", gpu(m), "gpu_absent", no_gpu);
}

static hl_trend growth(const hl_timeline *t)
{
    double seconds[ROWS], values[ROWS];
    int n = hl_timeline_rows(t);
    for (int i = 0; i < n; i++) {
        seconds[i] = hl_timeline_seconds(t, i);
        values[i] = hl_timeline_value(t, i, 0);
    }
    return hl_trend_fit(n, seconds, values);
}

static json_t *slope(const hl_trend *t)
{
    if (isnan(t->slope))
        return json_null();
    return json_pack("{s:f, s:f, s:f, s:i}", "bytes_per_minute", 60 * t->slope, "low", 60 * t->low, "high",
                     60 * t->high, "samples", t->samples);
}

static json_t *category_names(void)
{
    json_t *names = json_array();
    int fault = 0;
    for (int u = 0; u < HL_USES; u++)
        fault |= json_array_append_new(names, json_string(hl_use_name((hl_use)u)));
    fault |= json_array_append_new(names, json_string("heap"));
    if (!fault)
        return names;
    json_decref(names);
    return NULL;
}

json_t *hl_monitor_memory(const hl_monitor *m)
{
    HL_ASSERT(!m->running);
    hl_trend trend = growth(m->resident);
    bool peak_known = !m->no_peak.status;
    return json_pack("{s:o, s:s*, s:o, s:s*, s:o, s:s*, s:I, s:o, s:{s:o, s:o}}", "rss", bytes(m->rss),
                     "rss_absent", isnan(m->rss) ? "/proc/self/statm cannot be read" : NULL, "rss_peak",
                     bytes(peak_known ? m->peak : NAN), "rss_peak_absent", reason(&m->no_peak), "rss_slope",
                     slope(&trend), "rss_slope_absent", isnan(trend.slope) ? "too few samples" : NULL,
                     "allocations", (json_int_t)m->allocations, "timeline", hl_timeline_json(m->resident),
                     "timeline_categories", "names", category_names(), "rows",
                     hl_timeline_json(m->categories));
}
