/* Names: what a group holds, in the order a person would give, and which is most like a wrong one. */
#include "data/hdf5_query.h"

#include "base/error.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void hl_hdf_names_free(hl_hdf_names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        hl_free(names->name[i]);
    hl_free(names->name);
    *names = (hl_hdf_names){0};
}

bool hl_hdf_names_add(hl_hdf_names *names, const char *text)
{
    if (names->count == names->room) {
        int64_t room = names->room ? 2 * names->room : 16;
        char **name = hl_realloc(names->name, (size_t)room, sizeof *name);
        if (!name)
            return false;
        names->name = name;
        names->room = room;
    }
    char *copy = hl_strdup(text);
    if (!copy)
        return false;
    names->name[names->count++] = copy;
    return true;
}

/* Runs of digits compare as numbers. */
static int compare(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            const char *x = a + strspn(a, "0"), *y = b + strspn(b, "0");
            size_t n = strspn(x, "0123456789"), m = strspn(y, "0123456789");
            if (n != m)
                return n < m ? -1 : 1;
            int order = strncmp(x, y, n);
            if (order)
                return order;
            a = x + n;
            b = y + m;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return *a ? 1 : *b ? -1 : 0;
}

/* demo_1 and demo_01 are equal as numbers: spelling decides, so that the order is total. */
static int by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = compare(x, y);
    return order ? order : strcmp(x, y);
}

void hl_hdf_names_sort(hl_hdf_names *names, int64_t from)
{
    if (names->count - from > 1)
        qsort(names->name + from, (size_t)(names->count - from), sizeof *names->name, by_name);
}

int64_t hl_hdf_names_find(const hl_hdf_names *names, const char *text)
{
    char **at = names->count ? bsearch(&text, names->name, (size_t)names->count, sizeof *names->name, by_name)
                             : NULL;
    return at ? at - names->name : -1;
}

typedef struct listing {
    hl_hdf_names *names;
    bool no_memory;
} listing;

static herr_t add_link(hid_t group, const char *name, const H5L_info_t *info, void *into)
{
    listing *l = into;
    (void)group;
    (void)info;
    l->no_memory = !hl_hdf_names_add(l->names, name);
    return l->no_memory ? -1 : 0;
}

hl_status hl_hdf_list(hid_t loc, const char *path, const char *file, hl_hdf_names *names, hl_error *err)
{
    *names = (hl_hdf_names){0};
    hid_t group = H5Gopen2(loc, path, H5P_DEFAULT);
    if (group < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "expected a group");
    hsize_t at = 0;
    listing l = {names, false};
    herr_t ok = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, add_link, &l);
    H5Gclose(group);
    if (ok < 0) {
        hl_hdf_names_free(names);
        return hl_hdf_fail(err, l.no_memory ? HL_ERR_MEMORY : HL_ERR_DATA, file, path,
                           "the names of the group cannot be listed%s", l.no_memory ? ": no memory" : "");
    }
    hl_hdf_names_sort(names, 0);
    return HL_OK;
}

enum { WALK_DEPTH = 16 };

/* What an object is, by whatever name it is reached. */
typedef struct identity {
    unsigned long file;
    unsigned char place[16];
} identity;

static bool identify(hid_t loc, const char *path, identity *who)
{
    *who = (identity){0};
#if H5_VERSION_GE(1, 12, 0)
    H5O_info2_t info;
    if (H5Oget_info_by_name3(loc, path, &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        return false;
    memcpy(who->place, &info.token, sizeof info.token);
#else
    H5O_info_t info;
    if (H5Oget_info_by_name(loc, path, &info, H5P_DEFAULT) < 0)
        return false;
    memcpy(who->place, &info.addr, sizeof info.addr);
#endif
    who->file = info.fileno;
    return true;
}

/* Each group is entered once: links may lead back to where they are, or many to one. */
typedef struct walker {
    hid_t loc;
    const char *file;
    hl_hdf_names *all;
    identity *seen;
    int64_t n, room;
    hl_error *err;
} walker;

static hl_status enter(walker *w, const char *path, bool *first)
{
    identity who;
    *first = false;
    if (!identify(w->loc, path, &who))
        return HL_OK; /* it cannot be opened: it has no data sets for anybody */
    for (int64_t i = 0; i < w->n; i++)
        if (!memcmp(&w->seen[i], &who, sizeof who))
            return HL_OK;
    if (w->n == w->room) {
        int64_t room = w->room ? 2 * w->room : 64;
        identity *seen = hl_realloc(w->seen, (size_t)room, sizeof *seen);
        if (!seen)
            return hl_fail(w->err, HL_ERR_MEMORY, "%s: no memory for the list of its groups", w->file);
        w->seen = seen;
        w->room = room;
    }
    w->seen[w->n++] = who;
    *first = true;
    return HL_OK;
}

static hl_status walk(walker *w, const char *prefix, int depth)
{
    hl_hdf_names here = {0};
    bool first;
    hl_status status = enter(w, *prefix ? prefix : ".", &first);
    if (status == HL_OK && first)
        status = hl_hdf_list(w->loc, *prefix ? prefix : ".", w->file, &here, w->err);
    for (int64_t i = 0; status == HL_OK && i < here.count; i++) {
        char path[HL_HDF_PATH];
        int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", here.name[i]);
        if (n < 0 || (size_t)n >= sizeof path)
            continue; /* a path that long names no key a person would map */
        if (hl_hdf_is(w->loc, path, H5I_DATASET)) {
            if (!hl_hdf_names_add(w->all, path))
                status = hl_fail(w->err, HL_ERR_MEMORY, "%s: no memory for the names of its data sets",
                                 w->file);
        } else if (depth < WALK_DEPTH && hl_hdf_is(w->loc, path, H5I_GROUP)) {
            status = walk(w, path, depth + 1);
        }
    }
    hl_hdf_names_free(&here);
    return status;
}

hl_status hl_hdf_walk(hid_t loc, const char *file, hl_hdf_names *names, hl_error *err)
{
    *names = (hl_hdf_names){0};
    walker w = {.loc = loc, .file = file, .all = names, .err = err};
    hl_status status = walk(&w, "", 0);
    hl_free(w.seen);
    if (status != HL_OK)
        hl_hdf_names_free(names);
    return status;
}

/* ------------------------------------------------------------------ the nearest name */

/* Levenshtein's distance, on the first 63 characters of each. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 63 };
    int row[MOST + 1], n = (int)strnlen(a, MOST), m = (int)strnlen(b, MOST);
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int cost = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < cost)
                cost = row[j] + 1;
            if (row[j - 1] + 1 < cost)
                cost = row[j - 1] + 1;
            row[j] = cost;
        }
    }
    return row[m];
}

/* Selection by (distance, index): no memory, and the list of a large file stays short. */
void hl_hdf_nearest(const hl_hdf_names *names, const char *wanted, char *text, size_t size)
{
    enum { MOST = 16 };
    int least = -1;
    int64_t last = -1;
    size_t n = 0;
    snprintf(text, size, "%s", names->count ? "" : "nothing");
    for (int k = 0; k < MOST && k < names->count; k++) {
        int best = -1;
        int64_t at = -1;
        for (int64_t i = 0; i < names->count; i++) {
            int d = distance(names->name[i], wanted);
            bool after = d > least || (d == least && i > last);
            if (after && (at < 0 || d < best)) {
                best = d;
                at = i;
            }
        }
        least = best;
        last = at;
        if (n + strlen(names->name[at]) + 8 > size)
            break;
        n += (size_t)snprintf(text + n, size - n, "%s%s", k ? ", " : "", names->name[at]);
        if (k + 1 == names->count)
            return;
    }
    if (names->count && size - n > 4)
        snprintf(text + n, size - n, " ...");
}

/* ------------------------------------------------------------------ data sets of strings */

/* The library converts neither between character sets nor between fixed and variable length. */
static hid_t memory_string(hid_t type, bool variable, size_t length)
{
    hid_t memory = H5Tcopy(H5T_C_S1);
    if (memory >= 0 && (H5Tset_size(memory, variable ? H5T_VARIABLE : length + 1) < 0 ||
                        H5Tset_cset(memory, H5Tget_cset(type)) < 0)) {
        H5Tclose(memory);
        return -1;
    }
    return memory;
}

static hl_status add_strings(hid_t set, hid_t type, hid_t space, const char *file, const char *path,
                             hl_hdf_names *names, hl_error *err)
{
    hssize_t count = H5Sget_simple_extent_npoints(space);
    bool variable = H5Tis_variable_str(type) > 0;
    size_t stride = variable ? sizeof(char *) : H5Tget_size(type) + 1;
    if (count <= 0)
        return HL_OK;
    hid_t memory = memory_string(type, variable, stride - 1);
    char *block = hl_alloc((size_t)count, stride);
    hl_status status = HL_OK;
    if (!block)
        status = hl_fail(err, HL_ERR_MEMORY, "%s: %s: no memory for %lld strings", file, path,
                         (long long)count);
    else if (memory < 0 || H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, block) < 0)
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path, "its strings cannot be read");
    for (hssize_t i = 0; status == HL_OK && i < count; i++) {
        const char *text = variable ? ((char **)(void *)block)[i] : block + (size_t)i * stride;
        if (!hl_hdf_names_add(names, text ? text : ""))
            status = hl_fail(err, HL_ERR_MEMORY, "%s: %s: no memory for its strings", file, path);
    }
    if (block && variable)
        (void)H5Dvlen_reclaim(memory, space, H5P_DEFAULT, block);
    hl_free(block);
    if (memory >= 0)
        H5Tclose(memory);
    return status;
}

hl_status hl_hdf_strings(hid_t loc, const char *path, const char *file, hl_hdf_names *names, hl_error *err)
{
    *names = (hl_hdf_names){0};
    hid_t set = H5Dopen2(loc, path, H5P_DEFAULT);
    if (set < 0)
        return hl_hdf_fail(err, HL_ERR_DATA, file, path, "expected a data set of demo names");
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    char found[HL_HDF_TEXT] = "?";
    hl_status status;
    if (type >= 0)
        hl_hdf_type_name(type, found, sizeof found);
    if (type < 0 || space < 0 || H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_ndims(space) > 1)
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path,
                             "found %s of rank %d, expected a list of demo names (strings)", found,
                             space < 0 ? -1 : H5Sget_simple_extent_ndims(space));
    else if (!hl_hdf_is_whole(set))
        status = hl_hdf_fail(err, HL_ERR_DATA, file, path, "its %lld strings were not all written",
                             (long long)H5Sget_simple_extent_npoints(space));
    else
        status = add_strings(set, type, space, file, path, names, err);
    if (status != HL_OK)
        hl_hdf_names_free(names);
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    H5Dclose(set);
    return status;
}
