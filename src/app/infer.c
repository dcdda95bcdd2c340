/* hl infer: recorded observations in, actions out. */
#include "app/command.h"
#include "app/loaded.h"
#include "base/error.h"
#include "base/file.h"
#include "io/hdf5.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Observations: one data set per sense, [N, ...], consecutive moments of one episode; or of several, if
 * there is a data set "episode" [N], whose value changes where the next one begins. */
typedef struct observations {
    const char *path;
    hid_t file;
    hid_t sense[HL_MODEL_SENSES]; /* -1: the model does not read it */
    int64_t rows;
    int64_t *episode;             /* [rows], NULL: all one */
    float scale[HL_MODEL_SENSES]; /* 1/255 for images of bytes, else 1 */
} observations;

typedef struct extent {
    int rank; /* -1: none that can be read */
    hsize_t dim[H5S_MAX_RANK];
} extent;

static extent extent_of(hid_t dataset)
{
    extent e = {.rank = -1};
    hid_t space = H5Dget_space(dataset);
    if (space >= 0) {
        e.rank = H5Sget_simple_extent_dims(space, e.dim, NULL);
        H5Sclose(space);
    }
    return e;
}

/* Flat rows [N, size], or images as [N, C, H, W]: the same number of elements in another order, such as
 * [N, H, W, C], would be read as noise. */
static bool fits(const extent *e, const hl_model_options *o, int s)
{
    hsize_t side = (hsize_t)o->image, channels = s == HL_VISUAL ? 3 : 1;
    if (e->rank == 2)
        return e->dim[1] == (hsize_t)hl_model_sense_size(o, s);
    return (s == HL_VISUAL || s == HL_DEPTH) && e->rank == 4 && e->dim[1] == channels && e->dim[2] == side &&
           e->dim[3] == side;
}

static hl_status misfit(const observations *in, const extent *e, const hl_model_options *o, int s,
                        hl_error *err)
{
    char found[128] = "no array", expected[64];
    size_t n = 0;
    for (int i = 0; i < e->rank && n < sizeof found; i++)
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%llu%s", i ? "," : "[",
                              (unsigned long long)e->dim[i], i + 1 == e->rank ? "]" : "");
    if (s == HL_VISUAL || s == HL_DEPTH)
        snprintf(expected, sizeof expected, "[N,%d,%lld,%lld]", s == HL_VISUAL ? 3 : 1, (long long)o->image,
                 (long long)o->image);
    else
        snprintf(expected, sizeof expected, "[N,%lld]", (long long)hl_model_sense_size(o, s));
    return hl_fail(err, HL_ERR_DATA, "%s: '%s': found %s, expected %s", in->path, hl_model_sense(s),
                   e->rank ? found : "a single value", expected);
}

static hl_status open_sense(observations *in, const hl_model_options *o, int s, hl_error *err)
{
    const char *name = hl_model_sense(s);
    in->sense[s] = H5Lexists(in->file, name, H5P_DEFAULT) > 0 ? H5Dopen2(in->file, name, H5P_DEFAULT) : -1;
    if (in->sense[s] < 0)
        return hl_fail(err, HL_ERR_DATA, "%s: there is no data set '%s', which the model reads", in->path,
                       name);
    extent e = extent_of(in->sense[s]);
    if (!fits(&e, o, s))
        return misfit(in, &e, o, s, err);
    if (in->rows >= 0 && (hsize_t)in->rows != e.dim[0])
        return hl_fail(err, HL_ERR_DATA, "%s: '%s' has %llu rows, the senses before it have %lld", in->path,
                       name, (unsigned long long)e.dim[0], (long long)in->rows);
    in->rows = (int64_t)e.dim[0];
    hid_t type = H5Dget_type(in->sense[s]);
    in->scale[s] = s == HL_VISUAL && H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1 ? 1.0f / 255
                                                                                                 : 1;
    if (type >= 0)
        H5Tclose(type);
    return HL_OK;
}

static hl_status read_episodes(observations *in, hl_error *err)
{
    if (H5Lexists(in->file, "episode", H5P_DEFAULT) <= 0)
        return HL_OK;
    hid_t d = H5Dopen2(in->file, "episode", H5P_DEFAULT), space = d >= 0 ? H5Dget_space(d) : -1;
    bool one_each = space >= 0 && H5Sget_simple_extent_npoints(space) == in->rows;
    in->episode = one_each ? hl_alloc((size_t)in->rows, sizeof *in->episode) : NULL;
    hl_status status = HL_OK;
    if (!one_each)
        status = hl_fail(err, HL_ERR_DATA, "%s: 'episode' must have one number per row (%lld)", in->path,
                         (long long)in->rows);
    else if (!in->episode)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for %lld rows", (long long)in->rows);
    else if (H5Dread(d, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, in->episode) < 0)
        status = hl_hdf5_fail(err, HL_ERR_DATA, "%s: cannot read 'episode'", in->path);
    if (space >= 0)
        H5Sclose(space);
    if (d >= 0)
        H5Dclose(d);
    return status;
}

static hl_status open_observations(observations *in, const hl_model_options *o, hl_error *err)
{
    int fd;
    uint64_t bytes;
    hl_status status = hl_file_open(in->path, &fd, &bytes, err); /* its sentences are better than libhdf5's */
    if (status != HL_OK)
        return status;
    close(fd);
    in->file = H5Fopen(in->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (in->file < 0)
        return hl_hdf5_fail(err, HL_ERR_DATA, "%s: cannot be opened as HDF5", in->path);
    for (int s = 0; s < HL_MODEL_SENSES && status == HL_OK; s++)
        if (o->senses[s])
            status = open_sense(in, o, s, err);
    if (status == HL_OK && in->rows < 1)
        status = hl_fail(err, HL_ERR_DATA, "%s: there are no rows", in->path);
    return status == HL_OK ? read_episodes(in, err) : status;
}

static void close_observations(observations *in)
{
    for (int s = 0; s < HL_MODEL_SENSES; s++)
        if (in->sense[s] >= 0)
            H5Dclose(in->sense[s]);
    if (in->file >= 0)
        H5Fclose(in->file);
    hl_free(in->episode);
}

static hl_status read_row(const observations *in, const hl_model_options *o, int s, int64_t row, float *to,
                          hl_error *err)
{
    hid_t space = H5Dget_space(in->sense[s]);
    hsize_t start[H5S_MAX_RANK] = {(hsize_t)row}, count[H5S_MAX_RANK],
            size = (hsize_t)hl_model_sense_size(o, s);
    int rank = H5Sget_simple_extent_dims(space, count, NULL);
    count[0] = 1;
    hid_t memory = H5Screate_simple(1, &size, NULL);
    bool ok = rank > 0 && memory >= 0 &&
              H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
              H5Dread(in->sense[s], H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, to) >= 0;
    hl_status status = ok ? HL_OK
                          : hl_hdf5_fail(err, HL_ERR_DATA, "%s: cannot read row %lld of '%s'", in->path,
                                         (long long)row, hl_model_sense(s));
    for (hsize_t i = 0; i < size && status == HL_OK; i++) {
        to[i] *= in->scale[s];
        if (!isfinite(to[i]))
            status = hl_fail(err, HL_ERR_DATA,
                             "%s: '%s': element %llu of row %lld is %s, expected a finite number", in->path,
                             hl_model_sense(s), (unsigned long long)i, (long long)row,
                             isnan(to[i]) ? "NaN" : "infinite");
    }
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

static hl_status act_on_rows(const observations *in, const hl_trained *t, hl_policy *policy, float *actions,
                             float *compressed, hl_error *err)
{
    int64_t Z = t->model.compressed;
    for (int64_t row = 0; row < in->rows; row++) {
        hl_status status = HL_OK;
        if (row && in->episode && in->episode[row] != in->episode[row - 1])
            status = hl_policy_reset(policy, 0);
        for (int s = 0; s < HL_MODEL_SENSES && status == HL_OK; s++)
            if (t->model.senses[s])
                status = read_row(in, &t->model, s, row, hl_policy_sense(policy, hl_model_sense(s)), err);
        if (status == HL_OK)
            status = hl_policy_act(policy, actions + row * t->model.action, err);
        if (status != HL_OK)
            return status;
        memcpy(compressed + row * Z, hl_session_output(hl_policy_session(policy), "compressed"),
               (size_t)Z * sizeof(float));
    }
    return HL_OK;
}

static bool write_matrix(hid_t file, const char *name, int64_t rows, int64_t columns, const float *values)
{
    hsize_t dim[2] = {(hsize_t)rows, (hsize_t)columns};
    hid_t space = H5Screate_simple(2, dim, NULL);
    hid_t made = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(made, false); /* the same actions are the same file */
    hid_t d = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, made, H5P_DEFAULT);
    bool ok = d >= 0 && H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (d >= 0)
        ok = H5Dclose(d) >= 0 && ok;
    H5Pclose(made);
    H5Sclose(space);
    return ok;
}

/* The content of the file of actions, made in memory (hl_free). NULL on error. */
static void *make_image(const char *path, const hl_trained *t, int64_t rows, const float *actions,
                        const float *compressed, size_t *size, hl_error *err)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, false);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    bool ok = file >= 0 && write_matrix(file, "action", rows, t->model.action, actions) &&
              write_matrix(file, "compressed", rows, t->model.compressed, compressed) &&
              H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0;
    ssize_t n = ok ? H5Fget_file_image(file, NULL, 0) : -1;
    void *image = n > 0 ? hl_alloc((size_t)n, 1) : NULL;
    if (!image || H5Fget_file_image(file, image, (size_t)n) != n) {
        hl_hdf5_fail(err, HL_ERR_MEMORY, "%s: cannot be made in memory", path);
        hl_free(image);
        image = NULL;
    }
    if (file >= 0)
        H5Fclose(file);
    H5Pclose(access);
    *size = image ? (size_t)n : 0;
    return image;
}

static hl_status infer_rows(const observations *in, const hl_trained *t, hl_policy *policy, hl_file *to,
                            const char *path, hl_error *err)
{
    size_t size = 0;
    void *image = NULL;
    float *actions = hl_alloc((size_t)in->rows, (size_t)t->model.action * sizeof(float));
    float *compressed = hl_alloc((size_t)in->rows, (size_t)t->model.compressed * sizeof(float));
    hl_status status = HL_OK;
    if (!actions || !compressed)
        status = hl_fail(err, HL_ERR_MEMORY, "no memory for the actions of %lld rows", (long long)in->rows);
    if (status == HL_OK)
        status = act_on_rows(in, t, policy, actions, compressed, err);
    if (status == HL_OK) {
        image = make_image(path, t, in->rows, actions, compressed, &size, err);
        status = image ? hl_file_write(to, image, size, err) : err->status;
    }
    hl_free(image);
    hl_free(actions);
    hl_free(compressed);
    return status;
}

static hl_status infer(const hl_loaded *l, const char *input, const char *output, hl_error *err)
{
    const hl_trained *t = &l->trained;
    observations in = {.path = input, .file = -1, .sense = {-1, -1, -1, -1, -1}, .rows = -1};
    hl_policy_options o = {.rows = 1,
                           .smoothing = (float)t->config.model.head.smoothing,
                           .device = t->config.device,
                           .precision = (hl_precision)t->config.precision};
    hl_policy *policy = NULL;
    hl_file *to = NULL;
    hl_setup_threads(&t->config);
    hl_status status = open_observations(&in, &t->model, err);
    if (status == HL_OK) /* before the work, lest it be lost for a name that cannot be written */
        status = hl_file_replace(output, &to, err);
    if (status == HL_OK) {
        policy = hl_loaded_policy(l, &o, err);
        status = policy ? infer_rows(&in, t, policy, to, output, err) : err->status;
    }
    if (status == HL_OK)
        status = hl_file_commit(to, err);
    else
        hl_file_abort(to);
    if (status == HL_OK)
        fprintf(stderr, "hl: %lld actions in %s\n", (long long)in.rows, output);
    close_observations(&in);
    hl_policy_free(policy);
    return status;
}

int hl_command_infer(int argc, char **argv)
{
    const char *input = NULL, *output = NULL;
    const hl_flag flags[] = {
        {"input", HL_FLAG_TEXT, &input, "OBS.h5",
         "data sets visual [N,3,H,W] (0..1, or bytes), depth [N,1,H,W], audio [N,1024], ..."},
        {"output", HL_FLAG_TEXT, &output, "ACT.h5", "written: action [N,A] and compressed [N,Z]"},
        {0},
    };
    const hl_usage usage = {
        "hl infer MODEL [key=value ...] --input OBS.h5 --output ACT.h5",
        "Computes the action for every row of OBS.h5, in order: rows are consecutive moments of one\n"
        "episode, or of several if a data set 'episode' [N] numbers them.",
        flags, 1, -1};
    int n, code = hl_parse_arguments(&usage, argc, argv, &n);
    if (code != HL_GO_ON)
        return code;
    if (!input || !output) {
        fprintf(stderr, "hl: --%s is missing\nusage: %s\n", input ? "output" : "input", usage.synopsis);
        return HL_EXIT_USAGE;
    }
    if (hl_same_file(output, input) || hl_same_file(output, argv[1])) {
        fprintf(stderr, "hl: --output %s: it is the %s, which would be lost; choose another name\n", output,
                hl_same_file(output, input) ? "input" : "model");
        return HL_EXIT_USAGE;
    }
    hl_error err = {0};
    hl_loaded l;
    hl_status status = hl_loaded_open(&l, argv[1], n - 1, argv + 2, &err);
    if (status == HL_OK) {
        hl_hdf5_scope scope = hl_hdf5_begin();
        status = infer(&l, input, output, &err);
        hl_hdf5_end(scope);
    }
    hl_loaded_close(&l);
    return status == HL_OK ? HL_EXIT_OK : hl_report(&err);
}
