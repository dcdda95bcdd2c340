/* Makes the HDF5 files that the tests of the program need: sound observations, and files with one thing
 * wrong. Written against libhdf5 alone, so that it shares no mistake with hl. */
#include <hdf5.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: hdf5_tool observations DEMOS.hdf5 OUT.h5 DEMO...   obs of these demonstrations, one after the "
    "other,\n"
    "                                                          as hl infer reads them, and their number\n"
    "       hdf5_tool delete FILE PATH                         removes an object\n"
    "       hdf5_tool zeros FILE PATH DIM...                   puts float zeros of that shape in its place\n"
    "       hdf5_tool set FILE PATH INDEX VALUE                one element; VALUE as strtod reads it: nan, "
    "inf\n"
    "       hdf5_tool version FILE N                           makes a checkpoint one of format N, all else "
    "sound\n"
    "       hdf5_tool print FILE PATH [FIRST COUNT]            elements, exactly (%a), one a line\n";

_Noreturn static void die(const char *what, const char *which)
{
    fprintf(stderr, "hdf5_tool: cannot %s %s\n", what, which);
    exit(1);
}

static hid_t must(hid_t id, const char *what, const char *which)
{
    if (id < 0)
        die(what, which);
    return id;
}

static long number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0)
        die("read the number", text);
    return n;
}

typedef struct array {
    int rank;
    hsize_t dim[4];
    size_t count; /* the product of dim */
    float *at;
} array;

static array read_array(hid_t file, const char *path)
{
    array a = {0};
    hid_t d = must(H5Dopen2(file, path, H5P_DEFAULT), "open", path), space = H5Dget_space(d);
    a.rank = H5Sget_simple_extent_ndims(space);
    if (a.rank < 0 || a.rank > 4)
        die("read the shape of", path);
    H5Sget_simple_extent_dims(space, a.dim, NULL);
    a.count = (size_t)H5Sget_simple_extent_npoints(space);
    a.at = calloc(a.count + 1, sizeof *a.at);
    if (!a.at)
        die("hold", path);
    must(H5Dread(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, a.at), "read", path);
    H5Sclose(space);
    H5Dclose(d);
    return a;
}

static void write_array(hid_t file, const char *path, const array *a)
{
    hid_t space = H5Screate_simple(a->rank, a->dim, NULL);
    hid_t d = must(H5Dcreate2(file, path, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                   "make", path);
    must(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->at), "write", path);
    H5Dclose(d);
    H5Sclose(space);
}

/* [N,H,W,C] -> [N,C,H,W] */
static array channels_first(const array *a, float scale)
{
    size_t H = a->dim[1], W = a->dim[2], C = a->dim[3];
    array b = {4, {a->dim[0], C, H, W}, a->count, calloc(a->count + 1, sizeof(float))};
    if (!b.at)
        die("hold", "an image");
    for (size_t i = 0; i < a->count; i++) {
        size_t c = i % C, x = i / C % W, y = i / C / W % H, n = i / C / W / H;
        b.at[((n * C + c) * H + y) * W + x] = a->at[i] * scale;
    }
    return b;
}

static void append(array *to, const array *more)
{
    if (!to->at)
        *to = (array){more->rank, {0, more->dim[1], more->dim[2], more->dim[3]}, 0, NULL};
    float *at = realloc(to->at, (to->count + more->count + 1) * sizeof *at);
    if (!at)
        die("hold", "observations");
    memcpy(at + to->count, more->at, more->count * sizeof *at);
    to->at = at;
    to->count += more->count;
    to->dim[0] += more->dim[0];
}

static void observations(const char *from, const char *to, int n, char **demos)
{
    static const char *const senses[] = {"visual", "depth", "audio", "tactile", "proprioceptive"};
    hid_t in = must(H5Fopen(from, H5F_ACC_RDONLY, H5P_DEFAULT), "open", from);
    hid_t out = must(H5Fcreate(to, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), "make", to);
    for (int s = 0; s < 5; s++) {
        array all = {0}, episode = {1, {0}, 0, NULL};
        for (int k = 0; k < n; k++) {
            char path[128];
            snprintf(path, sizeof path, "data/demo_%ld/obs/%s", number(demos[k]), senses[s]);
            array a = read_array(in, path);
            array b = a.rank == 4 ? channels_first(&a, s == 0 ? 1.0f / 255 : 1) : a;
            append(&all, &b);
            array same = {1, {a.dim[0]}, a.dim[0], calloc(a.dim[0] + 1, sizeof(float))};
            for (size_t i = 0; same.at && i < same.count; i++)
                same.at[i] = (float)number(demos[k]);
            append(&episode, &same);
            free(same.at);
            if (b.at != a.at)
                free(b.at);
            free(a.at);
        }
        write_array(out, senses[s], &all);
        if (s == 0)
            write_array(out, "episode", &episode);
        free(all.at);
        free(episode.at);
    }
    must(H5Fclose(out), "write", to);
    H5Fclose(in);
}

static void zeros(hid_t file, const char *path, int rank, char **dims)
{
    array a = {.rank = rank, .count = 1};
    for (int i = 0; i < rank; i++)
        a.count *= a.dim[i] = (hsize_t)number(dims[i]);
    a.at = calloc(a.count + 1, sizeof *a.at);
    if (!a.at || rank > 4)
        die("hold", path);
    if (H5Lexists(file, path, H5P_DEFAULT) > 0)
        H5Ldelete(file, path, H5P_DEFAULT);
    write_array(file, path, &a);
    free(a.at);
}

static void set(hid_t file, const char *path, long index, double value)
{
    array a = read_array(file, path);
    hid_t d = H5Dopen2(file, path, H5P_DEFAULT);
    if ((size_t)index >= a.count)
        die("find that element of", path);
    a.at[index] = (float)value;
    must(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, a.at), "write", path);
    H5Dclose(d);
    free(a.at);
}

static void print(hid_t file, const char *path, long first, long count)
{
    array a = read_array(file, path);
    for (size_t i = (size_t)first; i < a.count && (count < 0 || i < (size_t)(first + count)); i++)
        printf("%a\n", (double)a.at[i]);
    free(a.at);
}

/* Castagnoli's CRC, bit by bit. */
static uint32_t crc32c(const unsigned char *bytes, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void put(unsigned char *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

/* The head of a checkpoint: version at 8, CRC32C of the head (itself as 0) at 12, size of the head at 16. */
static void set_version(const char *path, long version)
{
    static unsigned char head[1 << 20];
    FILE *f = fopen(path, "r+b");
    size_t got = f ? fread(head, 1, sizeof head, f) : 0, n = 0;
    for (int i = 7; i >= 0 && got >= 64; i--)
        n = n << 8 | head[16 + i];
    if (n < 64 || n > got)
        die("find the head of", path);
    put(head + 8, (uint32_t)version);
    put(head + 12, 0);
    put(head + 12, crc32c(head, n));
    rewind(f);
    if (fwrite(head, 1, n, f) != n || fclose(f))
        die("write", path);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "observations") && argc > 4) {
        observations(argv[2], argv[3], argc - 4, argv + 4);
        return 0;
    }
    if (!strcmp(what, "version") && argc == 4) {
        set_version(argv[2], number(argv[3]));
        return 0;
    }
    if (argc < 4) {
        fputs(usage, stderr);
        return 2;
    }
    unsigned access = strcmp(what, "print") ? H5F_ACC_RDWR : H5F_ACC_RDONLY;
    hid_t file = must(H5Fopen(argv[2], access, H5P_DEFAULT), "open", argv[2]);
    if (!strcmp(what, "delete"))
        must(H5Ldelete(file, argv[3], H5P_DEFAULT), "delete", argv[3]);
    else if (!strcmp(what, "zeros") && argc > 4)
        zeros(file, argv[3], argc - 4, argv + 4);
    else if (!strcmp(what, "set") && argc == 6)
        set(file, argv[3], number(argv[4]), strtod(argv[5], NULL));
    else if (!strcmp(what, "print"))
        print(file, argv[3], argc == 6 ? number(argv[4]) : 0, argc == 6 ? number(argv[5]) : -1);
    else {
        fputs(usage, stderr);
        return 2;
    }
    must(H5Fclose(file), "write", argv[2]);
    return 0;
}
