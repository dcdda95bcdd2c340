#include "app/stress/account.h"

#include "base/account.h"
#include "base/error.h"
#include "run/memory_map.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ planned */

typedef struct plan {
    size_t use[HL_USES];            /* by what it is allocated for */
    size_t within[HL_MEM_KINDS];    /* of the arenas, at their fullest moments */
    size_t arena, lower_bound, sum; /* of all sessions together */
    int fullest;                    /* the session of the largest arena */
} plan;

/* What sessions have of the store: once, and the second version of what others read while one trains. */
static size_t shared(const hl_planned_sessions *s, hl_memory_kind kind)
{
    size_t training = 0, acting = 0;
    for (int i = 0; i < s->n; i++) {
        const size_t bytes = hl_session_memory(s->at[i]).by_kind[kind];
        if (s->trains && i == 0)
            training = bytes;
        else
            acting = bytes > acting ? bytes : acting;
    }
    if (s->trains && s->n > 1)
        return (training > acting ? training : acting) + acting;
    return s->trains ? training : acting;
}

/* Sessions of one store share the parameters, their copies and what is packed; all else is their own. */
static plan plan_of(const hl_planned_sessions *s)
{
    static const hl_memory_kind in_arena[] = {HL_MEM_GRADIENTS, HL_MEM_ACTIVATIONS, HL_MEM_WORKSPACE,
                                              HL_MEM_IO};
    plan p = {0};
    size_t largest = 0;
    for (int i = 0; i < s->n; i++) {
        const hl_memory m = hl_session_memory(s->at[i]);
        p.use[HL_USE_OPTIMIZER] += m.by_kind[HL_MEM_OPTIMIZER];
        for (size_t k = 0; k < sizeof in_arena / sizeof *in_arena; k++)
            p.within[in_arena[k]] += m.by_kind[in_arena[k]];
        p.arena += m.arena;
        p.lower_bound += m.lower_bound;
        if (m.arena > largest) {
            largest = m.arena;
            p.fullest = i;
        }
    }
    p.use[HL_USE_PARAMETERS] = shared(s, HL_MEM_PARAMETERS);
    p.use[HL_USE_COPIES] = shared(s, HL_MEM_COPIES);
    p.use[HL_USE_PACKED] = shared(s, HL_MEM_PACKED);
    p.use[HL_USE_ARENA] = p.arena;
    p.use[HL_USE_IO] = s->batches;
    for (int u = 0; u < HL_USES; u++)
        p.sum += p.use[u];
    return p;
}

/* ------------------------------------------------------------------ the table */

static json_t *bytes(double n)
{
    return isfinite(n) ? json_integer((json_int_t)n) : json_null();
}

/* NAN: not known. */
static void add(json_t *list, const char *name, double planned, double current, double peak, const char *why)
{
    json_t *row = json_pack("{s:s, s:o, s:o, s:o}", "name", name, "planned", bytes(planned), "current",
                            bytes(current), "peak", bytes(peak));
    if (row && why)
        json_object_set_new(row, "absent", json_string(why));
    json_array_append_new(list, row);
}

static void add_uses(json_t *list, const hl_planned_sessions *s, const plan *p, const hl_account *now,
                     const hl_allocated *allocated)
{
    for (int u = 0; u < HL_USES; u++) {
        const double planned = s->on_device && u != HL_USE_IO ? NAN : (double)p->use[u];
        if (u == HL_USE_OTHER && !allocated->peak[u])
            continue;
        add(list, hl_use_name((hl_use)u), planned, now ? (double)now->tensors[u] : NAN,
            (double)allocated->peak[u], NULL);
        if (u != HL_USE_ARENA)
            continue;
        for (int k = 0; k < HL_MEM_KINDS; k++) {
            char name[48];
            snprintf(name, sizeof name, "arena: %s", hl_memory_kind_name((hl_memory_kind)k));
            if (p->within[k])
                add(list, name, (double)p->within[k], NAN, NAN, "one follows another in the arena");
        }
    }
}

static json_t *categories(const hl_planned_sessions *s, const plan *p, const hl_account *now,
                          const hl_allocated *allocated)
{
    json_t *list = json_array();
    add_uses(list, s, p, now, allocated);
    add(list, "heap", NAN, now ? (double)now->heap : NAN, (double)allocated->heap_peak, NULL);
    add(list, "libraries", NAN, now ? (double)now->files : NAN, NAN, NULL);
    add(list, "stack", NAN, now ? (double)now->stack : NAN, NAN, NULL);
    add(list, "unaccounted", NAN, now ? (double)now->unaccounted : NAN, NAN, NULL);
    return list;
}

/* ------------------------------------------------------------------ the fullest moment */

/* Of the session with the largest arena: where it is fullest, and what lies there then. */
static void add_peak(json_t *j, const hl_planned_sessions *s, const plan *p, const hl_memory_map *map)
{
    enum { LARGEST = 10 };
    int pieces[LARGEST];
    const int n = hl_memory_map_largest(map, map->memory.peak_step, LARGEST, pieces);
    json_t *largest = json_array();
    for (int i = 0; i < n; i++) {
        const hl_piece *piece = &map->pieces[pieces[i]];
        json_array_append_new(largest, json_pack("{s:s, s:I, s:s}", "name", piece->name, "bytes",
                                                 (json_int_t)piece->bytes, "section", piece->section));
    }
    json_object_set_new(
        j, "peak_at",
        json_pack("{s:s, s:i, s:s, s:s}", "session", s->trains && p->fullest == 0 ? "training" : "inference",
                  "call", map->memory.peak_step, "op", map->memory.peak_op, "section", map->peak_section));
    json_object_set_new(j, "largest", largest);
    json_object_set_new(j, "fragmentation", hl_json_number(hl_memory_fragmentation(&map->memory)));
}

json_t *hl_stress_account(const hl_planned_sessions *s, const hl_monitor *monitor, double *peak_bytes)
{
    const plan p = plan_of(s);
    hl_memory_map *map = hl_memory_map_new(hl_session_plan(s->at[p.fullest]), NULL);
    const hl_allocated allocated = hl_allocated_now();
    hl_account account;
    hl_error err = {0};
    const hl_account *now = hl_account_now(&account, &err) == HL_OK ? &account : NULL;
    json_t *j = map ? hl_monitor_memory(monitor) : NULL;
    *peak_bytes = (double)allocated.tensors_peak;
    if (!j) {
        hl_memory_map_free(map);
        return NULL;
    }
    json_object_set_new(j, "categories", categories(s, &p, now, &allocated));
    json_object_set_new(j, "versions", json_integer(s->trains && s->n > 1 ? 2 : 1));
    json_object_set_new(j, "device_bytes", s->on_device ? json_integer((json_int_t)p.sum) : json_null());
    json_object_set_new(j, "planned_peak", json_integer((json_int_t)p.sum));
    json_object_set_new(j, "measured_peak", s->on_device ? json_null() : bytes(*peak_bytes));
    if (s->on_device)
        json_object_set_new(j, "measured_peak_absent",
                            json_string("the plan is of the device's memory, which cannot be told apart"));
    json_object_set_new(j, "difference_percent",
                        hl_json_number(s->on_device ? NAN : 100 * (*peak_bytes / (double)p.sum - 1)));
    json_object_set_new(j, "unaccounted", now ? json_integer(now->unaccounted) : json_null());
    json_object_set_new(j, "unaccounted_percent",
                        hl_json_number(now ? 100 * (double)now->unaccounted / (double)now->rss : NAN));
    if (!now)
        json_object_set_new(j, "unaccounted_absent", json_string(err.message));
    add_peak(j, s, &p, map);
    hl_memory_map_free(map);
    json_object_set_new(j, "lower_bound", json_integer((json_int_t)p.lower_bound));
    return j;
}
