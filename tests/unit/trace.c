/* Traces: that they tell what ran and when, within their room, and change nothing. */
#include "base/process.h"
#include "run/memory_map.h"
#include "run/trace.h"
#include "tests/small_session.h"
#include "tests/temporary.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "io/chrome_trace.h"
#include "io/memory_viz.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static hl_trace *trace_of(int steps)
{
    hl_error err = {0};
    hl_trace *t = hl_trace_new(steps, &err);
    if (!t)
        fail_msg("%s", err.message);
    return t;
}

static void attach(hl_session *s, hl_trace *t, const char *name)
{
    hl_error err = {0};
    if (hl_session_trace(s, t, name, &err) != HL_OK)
        fail_msg("%s", err.message);
}

static void run(hl_session *s, int n)
{
    hl_error err = {0};
    for (int i = 0; i < n; i++)
        if (hl_session_run(s, &err) != HL_OK)
            fail_msg("%s", err.message);
}

/* ------------------------------------------------------------------ recording */

static void steps_are_recorded_until_there_is_no_room(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *s = small_training(params);
    hl_trace *t = trace_of(4);
    assert_null(hl_trace_tracks(t));
    run(s, 2);
    attach(s, t, "training");
    const hl_track *track = hl_trace_tracks(t);
    uint64_t allocations = hl_alloc_count();
    double began = hl_seconds();
    run(s, 7);
    double ended = hl_seconds();
    assert_int_equal(hl_alloc_count(), allocations);
    assert_string_equal(track->name, "training");
    assert_string_equal(track->device, "cpu");
    assert_null(track->next);
    assert_int_equal(track->n_steps, 4);
    assert_int_equal(track->missed, 3);
    double before = began;
    assert_true(hl_trace_began(t) < began);
    for (int i = 0; i < 4; i++) {
        const hl_traced_step *step = &track->steps[i];
        assert_int_equal(step->step, 2 + i);
        assert_int_equal(step->version, 2 + i);
        assert_true(step->rss > 1e6);
        for (int k = 0; k < track->n_calls + 3; k++) {
            assert_true(step->moments[k] >= before);
            before = step->moments[k];
        }
    }
    assert_true(before <= ended);
    hl_session_free(s);
    hl_trace_free(t);
    hl_params_free(params);
}

/* Groups of calls, in order, with what the plan says of them; the session may be gone. */
static void calls_are_told_as_the_plan_has_them(void **state)
{
    (void)state;
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *s = small_training(params);
    hl_trace *t = trace_of(1);
    attach(s, t, "training");
    const hl_track *track = hl_trace_tracks(t);
    hl_memory_map *map = hl_memory_map_new(hl_session_plan(s), &err);
    assert_non_null(map);
    int next = 0;
    double flops = 0, all = 0;
    for (int i = 0; i < track->n_calls; i++) {
        const hl_traced_call *c = &track->calls[i];
        hl_call_info info = hl_session_call(s, next);
        assert_int_equal(c->info.index, next);
        assert_string_equal(c->info.op, info.op);
        assert_string_equal(c->info.section, info.section);
        assert_string_equal(c->info.shapes, info.shapes);
        assert_memory_equal(c->alive, map->alive[next], sizeof c->alive);
        flops += c->info.flops;
        next += c->calls;
    }
    assert_int_equal(next, hl_session_calls(s));
    for (int i = 0; i < next; i++)
        all += hl_session_call(s, i).flops;
    assert_true(fabs(flops - all) <= 1e-9 * all);
    hl_memory_map_free(map);
    hl_session_free(s);
    bool seen = false;
    for (int i = 0; i < track->n_calls; i++)
        seen |= !strcmp(track->calls[i].info.section, "compressor");
    assert_true(seen);
    hl_trace_free(t);
    hl_params_free(params);
}

static void sessions_have_tracks_of_their_own(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *train = small_training(params), *act = small_inference(params, false);
    hl_trace *t = trace_of(10);
    attach(train, t, "training");
    attach(act, t, "inference");
    run(train, 2);
    run(act, 3);
    run(train, 1);
    attach(train, NULL, NULL);
    run(train, 1);
    const hl_track *first = hl_trace_tracks(t), *second = first->next;
    assert_string_equal(first->name, "training");
    assert_string_equal(second->name, "inference");
    assert_true(first->n_steps == 3 && second->n_steps == 3 && !first->missed);
    assert_int_equal(second->steps[2].version, 2);
    hl_session_free(train);
    hl_session_free(act);
    hl_trace_free(t);
    hl_params_free(params);
}

static void tracing_changes_no_result(void **state)
{
    (void)state;
    hl_params *a = hl_params_new(1), *b = hl_params_new(1);
    hl_session *traced = small_training(a), *plain = small_training(b);
    hl_trace *t = trace_of(3);
    attach(traced, t, "training");
    hl_session_profile(traced, true); /* both at once */
    hl_session_time_parts(traced, true);
    for (int step = 0; step < 5; step++) {
        small_model_inputs(traced, step, 1);
        small_model_inputs(plain, step, 1);
        hl_session_set(traced, "lr", 1e-3f);
        hl_session_set(plain, "lr", 1e-3f);
        run(traced, 1);
        run(plain, 1);
        assert_true(*hl_session_output(traced, "total") == *hl_session_output(plain, "total"));
    }
    assert_int_equal(hl_session_call(traced, 0).runs, 5);
    assert_true(hl_session_part(traced, 0).seconds > 0);
    hl_session_free(traced);
    hl_session_free(plain);
    hl_trace_free(t);
    hl_params_free(a);
    hl_params_free(b);
}

/* However many steps are asked for, memory is bounded. */
static void room_is_bounded(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *s = small_inference(params, false);
    hl_trace *t = trace_of(1 << 30);
    attach(s, t, "inference");
    const hl_track *track = hl_trace_tracks(t);
    assert_true(track->capacity > 1000);
    assert_true((int64_t)track->capacity * track->n_calls <= HL_TRACE_MOST);
    hl_session_free(s);
    hl_trace_free(t);
    hl_trace_free(NULL);
    hl_params_free(params);
}

/* ------------------------------------------------------------------ files */

static hl_status write_trace(const char *path, const hl_trace *t, hl_error *err)
{
    hl_file *file;
    hl_status status = hl_file_replace(path, &file, err);
    if (status != HL_OK)
        return status;
    status = hl_chrome_trace_write(file, t, err);
    if (status == HL_OK)
        return hl_file_commit(file, err);
    hl_file_abort(file);
    return status;
}

static json_t *read_json(const char *path)
{
    hl_error err = {0};
    char *text = NULL;
    size_t size;
    assert_int_equal(hl_file_read_text(path, 1 << 28, &text, &size, &err), HL_OK);
    json_t *value = hl_json_parse(text, size, path, &err);
    if (!value)
        fail_msg("%s", err.message);
    hl_free(text);
    return value;
}

static void a_file_has_an_event_for_each_call(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("trace.json");
    hl_params *params = hl_params_new(1);
    hl_session *s = small_inference(params, false);
    hl_trace *t = trace_of(5);
    attach(s, t, "quoted \"name\" \\ and \xc3\xa4");
    run(s, 5);
    hl_session_free(s);
    const hl_track *track = hl_trace_tracks(t);
    assert_int_equal(write_trace(path, t, &err), HL_OK);
    json_t *document = read_json(path), *event;
    int calls = 0, parts = 0, steps = 0, counters = 0;
    size_t i;
    json_array_foreach(json_object_get(document, "traceEvents"), i, event)
    {
        const char *category = json_string_value(json_object_get(event, "cat"));
        const char *ph = json_string_value(json_object_get(event, "ph"));
        counters += !strcmp(ph, "C");
        if (strcmp(ph, "X"))
            continue;
        assert_true(json_real_value(json_object_get(event, "dur")) >= 0);
        steps += !strcmp(category, "step");
        parts += !strcmp(category, "part");
        calls += strcmp(category, "step") && strcmp(category, "part");
    }
    assert_int_equal(steps, 5);
    assert_int_equal(calls, 5 * track->n_calls);
    assert_true(parts >= 5 * 3 && counters > 5 * 4);
    json_decref(document);
    hl_trace_free(t);
    hl_params_free(params);
}

static void an_empty_trace_is_a_file(void **state)
{
    (void)state;
    hl_error err = {0};
    const char *path = temporary_path("empty.json");
    hl_trace *t = trace_of(1);
    assert_int_equal(write_trace(path, t, &err), HL_OK);
    json_t *document = read_json(path);
    assert_int_equal(json_array_size(json_object_get(document, "traceEvents")), 1);
    json_decref(document);
    hl_trace_free(t);
}

/* Of both kinds of file: every write, and every allocation, fails once; what stood there stays. */
static void files_are_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *path = temporary_path("whole.json");
    hl_error err = {0};
    hl_params *params = hl_params_new(1);
    hl_session *s = small_inference(params, false);
    hl_trace *t = trace_of(20);
    attach(s, t, "inference");
    run(s, 20);
    hl_memory_map *map = hl_memory_map_new(hl_session_plan(s), &err);
    for (int kind = 0; kind < 4; kind++) {
        int failed = 0;
        for (uint64_t n = 1;; n++) {
            assert_int_equal(hl_file_save(path, "old", 3, &err), HL_OK);
            (kind % 2 ? hl_alloc_fail_at : hl_file_fail_at)(n);
            err = (hl_error){0};
            hl_status status = kind < 2 ? write_trace(path, t, &err) : hl_memory_viz_save(path, map, &err);
            hl_alloc_fail_at(0);
            hl_file_fail_at(0);
            if (status == HL_OK)
                break;
            assert_true(err.message[0] && err.status == (kind % 2 ? HL_ERR_MEMORY : HL_ERR_IO));
            if (!strstr(err.message, "is written, but")) {
                json_error_t where;
                assert_null(json_load_file(path, 0, &where));
            }
            failed++;
        }
        assert_true(failed > (kind % 2 ? 2 : 5));
        json_decref(read_json(path));
    }
    hl_memory_map_free(map);
    hl_session_free(s);
    hl_trace_free(t);
    hl_params_free(params);
}

static void every_allocation_of_a_trace_may_fail(void **state)
{
    (void)state;
    hl_params *params = hl_params_new(1);
    hl_session *s = small_inference(params, false);
    int failed = 0;
    for (uint64_t n = 1;; n++) {
        hl_error err = {0};
        hl_alloc_fail_at(n);
        hl_trace *t = hl_trace_new(2, &err);
        hl_status status = t ? hl_session_trace(s, t, "inference", &err) : err.status;
        hl_alloc_fail_at(0);
        run(s, 1); /* traced or not */
        assert_true(status == HL_OK || (status == HL_ERR_MEMORY && err.message[0]));
        assert_true(!t || (hl_trace_tracks(t) != NULL) == (status == HL_OK));
        hl_session_trace(s, NULL, NULL, NULL);
        hl_trace_free(t);
        if (status == HL_OK)
            break;
        failed++;
    }
    assert_true(failed > 5);
    hl_session_free(s);
    hl_params_free(params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_recorded_until_there_is_no_room),
        cmocka_unit_test(calls_are_told_as_the_plan_has_them),
        cmocka_unit_test(sessions_have_tracks_of_their_own),
        cmocka_unit_test(tracing_changes_no_result),
        cmocka_unit_test(room_is_bounded),
        cmocka_unit_test(a_file_has_an_event_for_each_call),
        cmocka_unit_test(an_empty_trace_is_a_file),
        cmocka_unit_test(files_are_whole_or_not_at_all),
        cmocka_unit_test(every_allocation_of_a_trace_may_fail),
    };
    return cmocka_run_group_tests_name("traces", tests, temporary_make, temporary_drop);
}
