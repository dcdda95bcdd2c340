#include "tests/parity/fixture.h"

#include <stdio.h>
#include <string.h>

static bool read_text(const fixture *f, const char *name, char *out, size_t size)
{
    hid_t a = H5Aopen(f->file, name, H5P_DEFAULT);
    hid_t type = a >= 0 ? H5Aget_type(a) : -1;
    bool ok = false;
    if (type >= 0 && H5Tis_variable_str(type) > 0) {
        char *text = NULL;
        hid_t memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, H5T_VARIABLE);
        H5Tset_cset(memory, H5Tget_cset(type));
        if (H5Aread(a, memory, &text) >= 0 && text) {
            ok = snprintf(out, size, "%s", text) < (int)size;
            H5free_memory(text);
        }
        H5Tclose(memory);
    }
    if (!ok)
        fprintf(stderr, "parity: attribute '%s' is not a text of less than %zu bytes\n", name, size);
    if (type >= 0)
        H5Tclose(type);
    if (a >= 0)
        H5Aclose(a);
    return ok;
}

static bool read_number(const fixture *f, const char *name, hid_t type, void *out)
{
    hid_t a = H5Aopen(f->file, name, H5P_DEFAULT);
    bool ok = a >= 0 && H5Aread(a, type, out) >= 0;
    if (a >= 0)
        H5Aclose(a);
    if (!ok)
        fprintf(stderr, "parity: no number in attribute '%s'\n", name);
    return ok;
}

bool fixture_open(fixture *f, const char *path)
{
    memset(f, 0, sizeof *f);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    f->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (f->file < 0) {
        fprintf(stderr, "parity: %s: not a readable HDF5 file\n", path);
        return false;
    }
    const struct {
        const char *name;
        int64_t *out;
    } whole[] = {{"batch", &f->batch},
                 {"tokens", &f->tokens},
                 {"history", &f->history},
                 {"steps", &f->steps},
                 {"parameters", &f->parameters}};
    const struct {
        const char *name;
        double *out;
    } real[] = {{"lr", &f->lr},     {"beta1", &f->beta1},       {"beta2", &f->beta2},
                {"eps", &f->eps},   {"clip", &f->clip},         {"weight_decay", &f->weight_decay},
                {"w_kl", &f->w_kl}, {"w_action", &f->w_action}, {"w_recon", &f->w_recon}};
    bool ok = read_text(f, "salt", f->salt, sizeof f->salt) &&
              read_text(f, "kind", f->kind, sizeof f->kind) &&
              read_text(f, "hierarchy", f->hierarchy, sizeof f->hierarchy);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        ok = ok && read_number(f, whole[i].name, H5T_NATIVE_INT64, whole[i].out);
    for (size_t i = 0; i < sizeof real / sizeof *real; i++)
        ok = ok && read_number(f, real[i].name, H5T_NATIVE_DOUBLE, real[i].out);
    return ok;
}

void fixture_close(fixture *f)
{
    if (f->file >= 0)
        H5Fclose(f->file);
    f->file = -1;
}

bool fixture_has(const fixture *f, const char *path)
{
    return H5Lexists(f->file, path, H5P_DEFAULT) > 0;
}

bool fixture_read(const fixture *f, const char *path, double *out, int64_t n)
{
    hid_t d = H5Dopen2(f->file, path, H5P_DEFAULT);
    hid_t space = d >= 0 ? H5Dget_space(d) : -1;
    bool ok = space >= 0 && H5Sget_simple_extent_npoints(space) == n &&
              H5Dread(d, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0;
    if (space >= 0)
        H5Sclose(space);
    if (d >= 0)
        H5Dclose(d);
    if (!ok)
        fprintf(stderr, "parity: '%s' is not there with %lld numbers\n", path, (long long)n);
    return ok;
}

bool fixture_options(const fixture *f, hl_model_options *o)
{
    static const char *const kinds[] = {"hybrid", "bottleneck", "attention", "hierarchical"};
    *o = hl_model_defaults();
    o->tokens = f->tokens;
    o->history = f->history;
    o->hierarchy_aspects = !strcmp(f->hierarchy, "aspects");
    o->dropout = 0;
    for (int i = 0; i < 4; i++) {
        if (!strcmp(f->kind, kinds[i])) {
            o->compressor = (hl_compressor)i;
            return true;
        }
    }
    fprintf(stderr, "parity: unknown compressor '%s'\n", f->kind);
    return false;
}

uint64_t stream_seed(const char *name)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3u;
    return h;
}

double stream_uniform(uint64_t seed, int64_t i)
{
    uint64_t z = seed + ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 40) / 8388608.0 - 1.0;
}
