#include "io/hdf5_image.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

#if H5_VERSION_GE(1, 13, 2)
#include <H5FDdevelop.h>
#endif

enum { PAGE = 4096, METADATA_BLOCK = 64 * 1024 };

typedef struct page {
    uint64_t number;
    unsigned char *bytes;
} page;

struct hl_image {
    page *pages; /* in order of number */
    size_t n, room;
    uint64_t length;
    bool out_of_memory;
};

hl_image *hl_image_new(void)
{
    return hl_alloc(1, sizeof(hl_image));
}

void hl_image_free(hl_image *image)
{
    if (!image)
        return;
    for (size_t i = 0; i < image->n; i++)
        hl_free(image->pages[i].bytes);
    hl_free(image->pages);
    hl_free(image);
}

/* Index of the first page that is not below number. */
static size_t lower_bound(const hl_image *image, uint64_t number)
{
    size_t low = 0, high = image->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (image->pages[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned char *page_for_writing(hl_image *image, uint64_t number)
{
    size_t i = lower_bound(image, number);
    if (i < image->n && image->pages[i].number == number)
        return image->pages[i].bytes;
    if (image->n == image->room) {
        size_t room = image->room ? 2 * image->room : 64;
        page *more = hl_realloc(image->pages, room, sizeof *more);
        if (!more)
            return NULL;
        image->pages = more;
        image->room = room;
    }
    unsigned char *bytes = hl_alloc(1, PAGE);
    if (!bytes)
        return NULL;
    memmove(image->pages + i + 1, image->pages + i, (image->n - i) * sizeof(page));
    image->pages[i] = (page){number, bytes};
    image->n++;
    return bytes;
}

/* The part of [offset, offset + n) that lies in the page of offset. */
static size_t in_page(uint64_t offset, size_t n)
{
    size_t rest = PAGE - (size_t)(offset % PAGE);
    return n < rest ? n : rest;
}

bool hl_image_write(hl_image *image, uint64_t offset, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    for (size_t part; n; n -= part, offset += part, from += part) {
        part = in_page(offset, n);
        unsigned char *to = page_for_writing(image, offset / PAGE);
        if (!to) {
            image->out_of_memory = true;
            return false;
        }
        memcpy(to + offset % PAGE, from, part);
    }
    if (offset > image->length)
        image->length = offset;
    return true;
}

void hl_image_read(const hl_image *image, uint64_t offset, void *bytes, size_t n)
{
    unsigned char *to = bytes;
    for (size_t part; n; n -= part, offset += part, to += part) {
        part = in_page(offset, n);
        size_t i = lower_bound(image, offset / PAGE);
        if (i < image->n && image->pages[i].number == offset / PAGE)
            memcpy(to, image->pages[i].bytes + offset % PAGE, part);
        else
            memset(to, 0, part);
    }
}

uint64_t hl_image_length(const hl_image *image)
{
    return image->length;
}

void hl_image_set_length(hl_image *image, uint64_t length)
{
    image->length = length;
}

bool hl_image_out_of_memory(const hl_image *image)
{
    return image->out_of_memory;
}

size_t hl_image_memory(const hl_image *image)
{
    return image->n * PAGE;
}

/* ------------------------------------------------------------------ as a file driver of libhdf5 */

/* libhdf5 knows a file as an H5FD_t, which stands first. */
typedef struct driver_file {
    H5FD_t common;
    hl_image *image;
    haddr_t end_of_allocation;
} driver_file;

/* What H5Pset_driver hands to driver_open. */
typedef struct driver_info {
    hl_image *image;
} driver_info;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t max)
{
    (void)name, (void)flags, (void)max;
    const driver_info *info = H5Pget_driver_info(access);
    if (!info)
        return NULL;
    driver_file *file = hl_alloc(1, sizeof *file);
    if (!file) {
        info->image->out_of_memory = true;
        return NULL;
    }
    file->image = info->image;
    return &file->common;
}

static herr_t driver_close(H5FD_t *file)
{
    hl_free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA; /* the structure lies together, not between the tensors */
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)file)->end_of_allocation;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((driver_file *)file)->end_of_allocation = address;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driver_file *)file)->image->length;
}

static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t n,
                          void *bytes)
{
    (void)type, (void)transfer;
    hl_image_read(((driver_file *)file)->image, address, bytes, n);
    return 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t n,
                           const void *bytes)
{
    (void)type, (void)transfer;
    (void)hl_image_write(((driver_file *)file)->image, address, bytes, n); /* see hl_image_out_of_memory */
    return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    driver_file *f = (driver_file *)file;
    f->image->length = f->end_of_allocation;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 2)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)497, /* of the range that is free for drivers not registered */
#endif
    .name = "hl_image",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(driver_info),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* A property list that opens files through the driver; the list keeps the driver registered. */
static hid_t access_list(hl_image *image)
{
    const driver_info info = {image};
    hid_t id = H5FDregister(&driver), access = H5Pcreate(H5P_FILE_ACCESS);
    bool done = id >= 0 && access >= 0 && H5Pset_driver(access, id, &info) >= 0 &&
                H5Pset_alignment(access, PAGE, PAGE) >= 0 &&
                H5Pset_meta_block_size(access, METADATA_BLOCK) >= 0 &&
                H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0;
    if (id >= 0)
        (void)H5FDunregister(id);
    if (done)
        return access;
    if (access >= 0)
        (void)H5Pclose(access);
    return H5I_INVALID_HID;
}

hid_t hl_image_create_hdf5(hl_image *image, const char *name, uint64_t user_block)
{
    hid_t access = access_list(image), creation = H5Pcreate(H5P_FILE_CREATE), file = H5I_INVALID_HID;
    if (access >= 0 && creation >= 0 && H5Pset_userblock(creation, user_block) >= 0)
        file = H5Fcreate(name, H5F_ACC_TRUNC, creation, access);
    if (creation >= 0)
        (void)H5Pclose(creation);
    if (access >= 0)
        (void)H5Pclose(access);
    return file;
}

hid_t hl_image_open_hdf5(hl_image *image, const char *name)
{
    hid_t access = access_list(image), file = H5I_INVALID_HID;
    if (access >= 0) {
        file = H5Fopen(name, H5F_ACC_RDONLY, access);
        (void)H5Pclose(access);
    }
    return file;
}
