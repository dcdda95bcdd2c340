#include "data/hdf5_sink.h"

#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if H5_VERSION_GE(1, 13, 2)
#include <H5FDdevelop.h>
#endif

/* What libhdf5 knows as an H5FD_t stands first. */
struct hl_hdf_sink {
    H5FD_t common;
    hl_file *file;  /* its temporary, to be committed or undone */
    int fd;         /* of the temporary, for reading back */
    hl_error fault; /* of the first write that failed */
    haddr_t allocated, end;
    hid_t hdf5;
};

/* ------------------------------------------------------------------ the driver */

typedef struct driver_info {
    hl_hdf_sink *sink;
} driver_info;

static H5FD_t *sink_open(const char *name, unsigned flags, hid_t access, haddr_t max)
{
    (void)name, (void)flags, (void)max;
    const driver_info *info = H5Pget_driver_info(access);
    return info ? &info->sink->common : NULL;
}

/* The memory is the sink's own. */
static herr_t sink_close(H5FD_t *file)
{
    (void)file;
    return 0;
}

static herr_t sink_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t sink_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const hl_hdf_sink *)file)->allocated;
}

static herr_t sink_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((hl_hdf_sink *)file)->allocated = address;
    return 0;
}

static haddr_t sink_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const hl_hdf_sink *)file)->end;
}

/* Zeros beyond the end, as libhdf5 expects of a driver. */
static herr_t sink_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t n, void *bytes)
{
    hl_hdf_sink *s = (hl_hdf_sink *)file;
    char *p = bytes;
    (void)type, (void)transfer;
    while (n) {
        ssize_t done = pread(s->fd, p, n, (off_t)address);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        if (done == 0) {
            memset(p, 0, n);
            return 0;
        }
        p += done;
        address += (haddr_t)done;
        n -= (size_t)done;
    }
    return 0;
}

static herr_t sink_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t n,
                         const void *bytes)
{
    hl_hdf_sink *s = (hl_hdf_sink *)file;
    (void)type, (void)transfer;
    if (address + n > s->end)
        s->end = address + n;
    if (!s->fault.status)
        (void)hl_file_write_at(s->file, address, bytes, n, &s->fault);
    return 0;
}

static herr_t sink_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    hl_hdf_sink *s = (hl_hdf_sink *)file;
    (void)transfer, (void)closing;
    if (s->end != s->allocated && !s->fault.status)
        (void)hl_file_truncate(s->file, s->allocated, &s->fault);
    s->end = s->allocated;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)498, /* of the range that is free for drivers not registered */
#endif
    .name = "hl_sink",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(driver_info),
    .open = sink_open,
    .close = sink_close,
    .query = sink_query,
    .get_eoa = sink_get_eoa,
    .set_eoa = sink_set_eoa,
    .get_eof = sink_get_eof,
    .read = sink_read,
    .write = sink_write,
    .truncate = sink_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* ------------------------------------------------------------------ its life */

/* create, or else opens for reading. */
static hid_t through_driver(hl_hdf_sink *s, bool create)
{
    const driver_info info = {s};
    const char *path = hl_hdf_sink_path(s);
    hid_t id = H5FDregister(&driver), access = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
    s->allocated = 0;
    if (id >= 0 && access >= 0 && H5Pset_driver(access, id, &info) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0)
        file = create ? H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access)
                      : H5Fopen(path, H5F_ACC_RDONLY, access);
    if (access >= 0)
        (void)H5Pclose(access);
    if (id >= 0)
        (void)H5FDunregister(id);
    return file;
}

hl_status hl_hdf_sink_new(const char *path, hl_hdf_sink **sink, hl_error *err)
{
    hl_hdf_sink *s = hl_alloc(1, sizeof *s);
    uint64_t size;
    *sink = NULL;
    if (!s)
        return hl_fail(err, HL_ERR_MEMORY, "%s: no memory to write it", path);
    s->hdf5 = H5I_INVALID_HID;
    s->fd = -1;
    hl_status status = hl_file_replace(path, &s->file, err);
    if (status == HL_OK)
        status = hl_file_open(hl_hdf_sink_path(s), &s->fd, &size, err);
    if (status == HL_OK) {
        s->hdf5 = through_driver(s, true);
        if (s->hdf5 < 0)
            status = hl_hdf5_fail(err, HL_ERR_IO, "%s: an HDF5 file cannot be begun", hl_hdf_sink_path(s));
    }
    if (status != HL_OK) {
        hl_hdf_sink_free(s);
        return status;
    }
    *sink = s;
    return HL_OK;
}

hid_t hl_hdf_sink_file(const hl_hdf_sink *s)
{
    return s->hdf5;
}

const char *hl_hdf_sink_path(const hl_hdf_sink *s)
{
    return hl_file_written_path(s->file);
}

hl_status hl_hdf_sink_check(const hl_hdf_sink *s, hl_error *err)
{
    if (s->fault.status && err)
        *err = s->fault;
    return s->fault.status;
}

hl_status hl_hdf_sink_close(hl_hdf_sink *s, hl_error *err)
{
    herr_t ok = s->hdf5 >= 0 ? H5Fclose(s->hdf5) : 0;
    s->hdf5 = H5I_INVALID_HID;
    if (ok < 0 && !s->fault.status)
        return hl_hdf5_fail(err, HL_ERR_IO, "%s: the HDF5 file cannot be closed", hl_hdf_sink_path(s));
    return hl_hdf_sink_check(s, err);
}

hl_status hl_hdf_sink_reopen(hl_hdf_sink *s, hl_error *err)
{
    struct stat info;
    HL_ASSERT(s->hdf5 < 0);
    if (fstat(s->fd, &info) != 0)
        return hl_file_fail(err, hl_hdf_sink_path(s), "look at it", errno);
    s->end = (haddr_t)info.st_size; /* what is there, not what was meant to be */
    s->hdf5 = through_driver(s, false);
    if (s->hdf5 < 0)
        return hl_hdf5_fail(err, HL_ERR_IO, "%s: what was written cannot be read back", hl_hdf_sink_path(s));
    return HL_OK;
}

hl_status hl_hdf_sink_commit(hl_hdf_sink *s, hl_error *err)
{
    HL_ASSERT(s->file && s->hdf5 < 0 && !s->fault.status);
    hl_file *file = s->file;
    s->file = NULL; /* freed by the commit, whatever happens */
    return hl_file_commit(file, err);
}

void hl_hdf_sink_free(hl_hdf_sink *s)
{
    if (!s)
        return;
    if (s->hdf5 >= 0)
        (void)hl_hdf_sink_close(s, NULL);
    if (s->fd >= 0)
        (void)close(s->fd);
    hl_file_abort(s->file);
    hl_free(s);
}
