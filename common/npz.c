// SPDX-License-Identifier: Apache-2.0
/* npz.c - the archive half of npy.h: ZIP as PKWARE's APPNOTE.TXT describes it (section numbers below are its
 * own).
 *
 *     [local header | name | extra | data]...   [central entry | name | extra | comment]...   [zip64 end,
 * locator]   end
 *
 * The central directory is the truth for sizes; the local header only says where the data begins, and must
 * bear the same name. All offsets are checked against the file before anything is read there, so that a wrong
 * archive is refused and never followed. */
#include "npy.h"

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    LOCAL_BYTES = 30,   /* 4.3.7 */
    CENTRAL_BYTES = 46, /* 4.3.12 */
    END_BYTES = 22,     /* 4.3.16 */
    END64_BYTES = 56,   /* 4.3.14 */
    LOCATOR_BYTES = 20, /* 4.3.15 */
    COMMENT_MAX = 65535,
    NAME_MAX_IN_ZIP = TENSOR_NAME_MAX - 1 + 4, /* a tensor's name and ".npy" */
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1,
    PIECE = 32 << 10,
};

#define LOCAL_MARK   0x04034b50u
#define CENTRAL_MARK 0x02014b50u
#define END_MARK     0x06054b50u
#define END64_MARK   0x06064b50u
#define LOCATOR_MARK 0x07064b50u
#define IN_EXTRA32   0xffffffffu /* the true value is in the zip64 extra field */
#define IN_EXTRA16   0xffffu

struct archive {
    int fd;
    const char *path;
    uint64_t size_bytes;
    uint64_t directory, directory_bytes, entries;
    struct why *why;
};

struct entry {
    char name[NAME_MAX_IN_ZIP + 1];
    uint32_t flags, method, crc32;
    uint64_t packed_bytes, unpacked_bytes, local_offset;
    size_t name_length, extra_length, comment_length;
};

static uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }
static uint32_t get32(const uint8_t *at) { return get16(at) | get16(at + 2) << 16; }
static uint64_t get64(const uint8_t *at) { return (uint64_t)get32(at) | (uint64_t)get32(at + 4) << 32; }

static enum err broken(const struct archive *archive, const char *what)
{
    (void)why_set(archive->why, ERR_FORMAT,
                  "%s: is not a whole .npz archive (%s); save it again with numpy.savez", archive->path,
                  what);
    return ERR_FORMAT;
}

static enum err read_at(const struct archive *archive, void *bytes, size_t size, uint64_t offset)
{
    if (offset > archive->size_bytes || size > archive->size_bytes - offset)
        return broken(archive, "truncated");
    return file_pread(archive->fd, bytes, size, offset, archive->path, archive->why);
}

/* 4.3.14, 4.3.15: when a field of the end record is saturated, the true one is in the zip64 end record, which
 * the locator right before the end record points at. */
static enum err read_end64(struct archive *archive, uint64_t end_offset)
{
    uint8_t locator[LOCATOR_BYTES], end[END64_BYTES];
    if (end_offset < LOCATOR_BYTES)
        return broken(archive, "its zip64 locator is missing");
    enum err err = read_at(archive, locator, sizeof locator, end_offset - LOCATOR_BYTES);
    if (err != ERR_OK)
        return err;
    if (get32(locator) != LOCATOR_MARK)
        return broken(archive, "its zip64 locator is missing");
    err = read_at(archive, end, sizeof end, get64(locator + 8));
    if (err != ERR_OK)
        return err;
    if (get32(end) != END64_MARK)
        return broken(archive, "its zip64 end record is missing");
    archive->entries = get64(end + 32);
    archive->directory_bytes = get64(end + 40);
    archive->directory = get64(end + 48);
    return ERR_OK;
}

static enum err use_end(struct archive *archive, const uint8_t *end, uint64_t end_offset)
{
    if (get16(end + 4) != get16(end + 6))
        return broken(archive, "it is one part of several");
    archive->entries = get16(end + 10);
    archive->directory_bytes = get32(end + 12);
    archive->directory = get32(end + 16);
    if (archive->entries == IN_EXTRA16 || archive->directory_bytes == IN_EXTRA32 ||
        archive->directory == IN_EXTRA32) {
        enum err err = read_end64(archive, end_offset);
        if (err != ERR_OK)
            return err;
    }
    if (archive->directory > end_offset || archive->directory_bytes > end_offset - archive->directory)
        return broken(archive, "its directory lies outside of it");
    return ERR_OK;
}

/* The end record is followed by a comment of up to 64 KiB, so it is searched backwards in pieces that overlap
 * by less than a record. Its comment must end where the file ends: a mark inside a comment is then not taken
 * for it. */
static enum err find_end(struct archive *archive)
{
    uint8_t bytes[4096];
    const uint64_t size = archive->size_bytes;
    if (size < END_BYTES)
        return broken(archive, "truncated");
    uint64_t lowest = size > END_BYTES + COMMENT_MAX ? size - END_BYTES - COMMENT_MAX : 0;
    uint64_t high = size; /* the records that begin at high - END_BYTES + 1 or later have been looked at */
    while (high >= lowest + END_BYTES) {
        uint64_t low = high - lowest > sizeof bytes ? high - sizeof bytes : lowest;
        size_t count = (size_t)(high - low);
        enum err err = read_at(archive, bytes, count, low);
        if (err != ERR_OK)
            return err;
        for (size_t i = count - END_BYTES + 1; i-- > 0;)
            if (get32(bytes + i) == END_MARK && low + i + END_BYTES + get16(bytes + i + 20) == size)
                return use_end(archive, bytes + i, low + i);
        high = low + END_BYTES - 1;
    }
    return broken(archive, "it has no ZIP directory: truncated, or another kind of file");
}

/* 4.5.3: the extra field 0x0001 holds, in this order, those of the three values that are saturated in the
 * entry. */
static enum err use_extra64(const struct archive *archive, struct entry *entry, const uint8_t *field,
                            size_t size)
{
    uint64_t *const wanted[] = { &entry->unpacked_bytes, &entry->packed_bytes, &entry->local_offset };
    size_t used = 0;
    for (size_t i = 0; i < 3; i++) {
        if (*wanted[i] != IN_EXTRA32)
            continue;
        if (size - used < 8)
            return broken(archive, "a zip64 field is too short");
        *wanted[i] = get64(field + used);
        used += 8;
    }
    return ERR_OK;
}

static bool needs_extra64(const struct entry *entry)
{
    return entry->unpacked_bytes == IN_EXTRA32 || entry->packed_bytes == IN_EXTRA32 ||
           entry->local_offset == IN_EXTRA32;
}

static enum err read_extra(const struct archive *archive, struct entry *entry, uint64_t offset)
{
    size_t left = entry->extra_length;
    while (needs_extra64(entry) && left >= 4) {
        uint8_t bytes[4 + 28];
        size_t look = left < sizeof bytes ? left : sizeof bytes;
        enum err err = read_at(archive, bytes, look, offset);
        if (err != ERR_OK)
            return err;
        size_t size = get16(bytes + 2);
        if (size > left - 4)
            return broken(archive, "an extra field is too long");
        if (get16(bytes) == 1)
            return use_extra64(archive, entry, bytes + 4, size < look - 4 ? size : look - 4);
        offset += 4 + size;
        left -= 4 + size;
    }
    return ERR_OK;
}

static enum err check_name(const struct archive *archive, const struct entry *entry)
{
    const char *name = entry->name;
    size_t length = entry->name_length;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return broken(archive, "a name in it is not text");
    if (length <= 4 || strcmp(name + length - 4, ".npy") != 0)
        return why_set(archive->why, ERR_FORMAT,
                       "%s: member '%s' is not a .npy array; save only arrays, with numpy.savez",
                       archive->path, name);
    return ERR_OK;
}

static enum err read_entry(const struct archive *archive, uint64_t *offset, struct entry *entry)
{
    uint8_t bytes[CENTRAL_BYTES];
    const uint64_t end = archive->directory + archive->directory_bytes;
    if (end - *offset < sizeof bytes)
        return broken(archive, "its directory is too short");
    enum err err = read_at(archive, bytes, sizeof bytes, *offset);
    if (err != ERR_OK)
        return err;
    if (get32(bytes) != CENTRAL_MARK)
        return broken(archive, "its directory has a wrong mark");
    *entry = (struct entry){ .flags = get16(bytes + 8),
                             .method = get16(bytes + 10),
                             .crc32 = get32(bytes + 16),
                             .packed_bytes = get32(bytes + 20),
                             .unpacked_bytes = get32(bytes + 24),
                             .name_length = get16(bytes + 28),
                             .extra_length = get16(bytes + 30),
                             .comment_length = get16(bytes + 32),
                             .local_offset = get32(bytes + 42) };
    uint64_t name_at = *offset + CENTRAL_BYTES;
    if (entry->name_length + entry->extra_length + entry->comment_length > end - name_at)
        return broken(archive, "its directory is too short");
    *offset = name_at + entry->name_length + entry->extra_length + entry->comment_length;
    if (entry->name_length > NAME_MAX_IN_ZIP)
        return why_set(archive->why, ERR_LIMIT,
                       "%s: the name of a member has %zu bytes; at most %d are supported", archive->path,
                       entry->name_length, NAME_MAX_IN_ZIP);
    err = read_at(archive, entry->name, entry->name_length, name_at);
    if (err == ERR_OK)
        err = check_name(archive, entry);
    return err == ERR_OK ? read_extra(archive, entry, name_at + entry->name_length) : err;
}

static enum err check_entry(const struct archive *archive, const struct entry *entry)
{
    if (entry->flags & ENCRYPTED)
        return why_set(archive->why, ERR_UNSUPPORTED,
                       "%s: member '%s' is encrypted; save it again with numpy.savez", archive->path,
                       entry->name);
    if (entry->method != STORED && entry->method != DEFLATED)
        return why_set(archive->why, ERR_UNSUPPORTED,
                       "%s: member '%s' is packed by method %u; save it again with numpy.savez or "
                       "numpy.savez_compressed",
                       archive->path, entry->name, entry->method);
    if (entry->method == STORED && entry->packed_bytes != entry->unpacked_bytes)
        return broken(archive, "a stored member has two sizes");
    return ERR_OK;
}

/* Find where the entry's data begins: its local header has name and extra field of its own lengths. */
static enum err locate(const struct archive *archive, const struct entry *entry, uint64_t *data_offset)
{
    uint8_t bytes[LOCAL_BYTES];
    char name[NAME_MAX_IN_ZIP];
    enum err err = read_at(archive, bytes, sizeof bytes, entry->local_offset);
    if (err != ERR_OK)
        return err;
    if (get32(bytes) != LOCAL_MARK || get16(bytes + 8) != entry->method ||
        get16(bytes + 26) != entry->name_length)
        return broken(archive, "a member is not where the directory says");
    err = read_at(archive, name, entry->name_length, entry->local_offset + LOCAL_BYTES);
    if (err != ERR_OK)
        return err;
    if (memcmp(name, entry->name, entry->name_length) != 0)
        return broken(archive, "a member has two names");
    *data_offset = entry->local_offset + LOCAL_BYTES + entry->name_length + get16(bytes + 28);
    if (*data_offset > archive->directory || entry->packed_bytes > archive->directory - *data_offset)
        return broken(archive, "truncated: a member is longer than the archive");
    return ERR_OK;
}

static enum err inflate_failed(const struct archive *archive, const char *name, int rc)
{
    if (rc == Z_MEM_ERROR)
        return why_set(archive->why, ERR_MEMORY, "%s: no memory to unpack '%s'", archive->path, name);
    return why_set(archive->why, ERR_FORMAT,
                   "%s: the bytes of '%s' are damaged; save it again with numpy.savez", archive->path, name);
}

/* Inflate the first bytes of the member, up to *size of them. */
static enum err inflate_head(const struct archive *archive, const struct npz_member *member, const char *name,
                             uint8_t *bytes, size_t *size)
{
    uint8_t packed[2 * NPY_HEADER_MAX]; /* a header of that many literals and the block's tables fit */
    size_t count = member->packed_bytes < sizeof packed ? (size_t)member->packed_bytes : sizeof packed;
    enum err err = read_at(archive, packed, count, member->packed_offset);
    if (err != ERR_OK)
        return err;
    z_stream stream = {
        .next_in = packed, .avail_in = (unsigned)count, .next_out = bytes, .avail_out = (unsigned)*size
    };
    int rc = inflateInit2(&stream, -MAX_WBITS);
    if (rc != Z_OK)
        return inflate_failed(archive, name, rc);
    rc = inflate(&stream, Z_SYNC_FLUSH);
    *size -= stream.avail_out;
    inflateEnd(&stream);
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? ERR_OK : inflate_failed(archive, name, rc);
}

static enum err read_head(const struct archive *archive, const struct npz_member *member, const char *name,
                          uint8_t *bytes, size_t *size)
{
    *size = member->unpacked_bytes < NPY_HEADER_MAX ? (size_t)member->unpacked_bytes : NPY_HEADER_MAX;
    return member->deflated ? inflate_head(archive, member, name, bytes, size)
                            : read_at(archive, bytes, *size, member->packed_offset);
}

static enum err read_member(const struct archive *archive, const struct entry *entry,
                            struct npz_member *member)
{
    uint8_t bytes[NPY_HEADER_MAX];
    struct why inner;
    size_t size;
    *member = (struct npz_member){ .deflated = entry->method == DEFLATED,
                                   .packed_bytes = entry->packed_bytes,
                                   .unpacked_bytes = entry->unpacked_bytes,
                                   .crc32 = entry->crc32 };
    enum err err = locate(archive, entry, &member->packed_offset);
    if (err == ERR_OK)
        err = read_head(archive, member, entry->name, bytes, &size);
    if (err != ERR_OK)
        return err;
    err = npy_parse(bytes, size, member->unpacked_bytes, &member->array, &inner);
    if (err != ERR_OK)
        return why_set(archive->why, err, "%s: member '%s': %s", archive->path, entry->name, inner.text);
    if (!member->deflated)
        member->array.offset += member->packed_offset;
    memcpy(member->array.spec.name, entry->name, entry->name_length - 4);
    return ERR_OK;
}

static enum err compare_with_others(const struct archive *archive, const struct npz *npz,
                                    const struct npz_member *member)
{
    const struct npy_array *array = &member->array;
    for (uint32_t i = 0; i < npz->count; i++)
        if (strcmp(npz->members[i].array.spec.name, array->spec.name) == 0)
            return why_set(archive->why, ERR_FORMAT, "%s: two members are named '%s'", archive->path,
                           array->spec.name);
    return ERR_OK;
}

static enum err read_directory(const struct archive *archive, struct npz *npz)
{
    uint64_t offset = archive->directory;
    if (archive->entries == 0)
        return why_set(archive->why, ERR_FORMAT, "%s: holds no array", archive->path);
    if (archive->entries > NPZ_MEMBERS_MAX)
        return why_set(archive->why, ERR_LIMIT, "%s: holds %llu arrays; at most %d are supported",
                       archive->path, (unsigned long long)archive->entries, NPZ_MEMBERS_MAX);
    while (npz->count < archive->entries) {
        struct entry entry = { 0 };
        struct npz_member *member = &npz->members[npz->count];
        enum err err = read_entry(archive, &offset, &entry);
        if (err == ERR_OK)
            err = check_entry(archive, &entry);
        if (err == ERR_OK)
            err = read_member(archive, &entry, member);
        if (err == ERR_OK)
            err = compare_with_others(archive, npz, member);
        if (err != ERR_OK)
            return err;
        npz->count++;
    }
    return ERR_OK;
}

static enum err open_archive(struct archive *archive, const char *path, struct stat *status, struct why *why)
{
    *archive = (struct archive){ .path = path, .why = why };
    archive->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (archive->fd < 0)
        return why_set_errno(why, ERR_FILE, "%s: cannot be opened", path);
    if (fstat(archive->fd, status) == 0 && S_ISREG(status->st_mode)) {
        archive->size_bytes = (uint64_t)status->st_size;
        return ERR_OK;
    }
    close(archive->fd);
    return why_set(why, ERR_FILE, "%s: is not a plain file; give a .npz file", path);
}

enum err npz_open(const char *path, struct npz *npz, uint64_t *size_bytes, int64_t *mtime_ns, struct why *why)
{
    struct archive archive;
    struct stat status = { 0 };
    npz->count = 0;
    enum err err = open_archive(&archive, path, &status, why);
    if (err != ERR_OK)
        return err;
    *size_bytes = archive.size_bytes;
    *mtime_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    if (archive.size_bytes == 0)
        err = why_set(why, ERR_FORMAT, "%s: is empty; give a .npz file", path);
    if (err == ERR_OK)
        err = find_end(&archive);
    if (err == ERR_OK)
        err = read_directory(&archive, npz);
    close(archive.fd);
    return err;
}

/* A member on its way out. */
struct extraction {
    const struct archive *archive;
    const struct npz_member *member;
    int fd;                /* -1: only the check is wanted */
    uint64_t taken, given; /* packed bytes read, unpacked bytes written */
    uLong crc;
};

static enum err take(struct extraction *out, uint8_t *bytes, size_t *size)
{
    uint64_t left = out->member->packed_bytes - out->taken;
    *size = left < PIECE ? (size_t)left : PIECE;
    enum err err = read_at(out->archive, bytes, *size, out->member->packed_offset + out->taken);
    out->taken += *size;
    return err;
}

static enum err give(struct extraction *out, const uint8_t *bytes, size_t size)
{
    if (size > out->member->unpacked_bytes - out->given)
        return inflate_failed(out->archive, out->member->array.spec.name, Z_DATA_ERROR);
    out->crc = crc32(out->crc, bytes, (uInt)size);
    out->given += size;
    while (out->fd >= 0 && size > 0) {
        ssize_t put = write(out->fd, bytes, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return why_set_errno(out->archive->why, errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_FILE,
                                 "%s: cannot write the unpacked '%s'", out->archive->path,
                                 out->member->array.spec.name);
        bytes += put;
        size -= (size_t)put;
    }
    return ERR_OK;
}

static enum err copy_stored(struct extraction *out)
{
    uint8_t bytes[PIECE];
    enum err err = ERR_OK;
    while (err == ERR_OK && out->taken < out->member->packed_bytes) {
        size_t size;
        err = take(out, bytes, &size);
        if (err == ERR_OK)
            err = give(out, bytes, size);
    }
    return err;
}

/* Inflate what the stream holds; *rc is Z_STREAM_END after the last byte. */
static enum err drain(struct extraction *out, z_stream *stream, int *rc)
{
    uint8_t unpacked[PIECE];
    do {
        stream->next_out = unpacked;
        stream->avail_out = PIECE;
        *rc = inflate(stream, Z_NO_FLUSH);
        if (*rc != Z_OK && *rc != Z_STREAM_END && *rc != Z_BUF_ERROR)
            return inflate_failed(out->archive, out->member->array.spec.name, *rc);
        enum err err = give(out, unpacked, PIECE - stream->avail_out);
        if (err != ERR_OK)
            return err;
    } while (*rc != Z_STREAM_END && stream->avail_out == 0);
    return ERR_OK;
}

static enum err copy_inflated(struct extraction *out)
{
    uint8_t packed[PIECE];
    z_stream stream = { 0 };
    enum err err = ERR_OK;
    int rc = inflateInit2(&stream, -MAX_WBITS);
    if (rc != Z_OK)
        return inflate_failed(out->archive, out->member->array.spec.name, rc);
    while (err == ERR_OK && rc != Z_STREAM_END && out->taken < out->member->packed_bytes) {
        size_t size;
        err = take(out, packed, &size);
        stream.next_in = packed;
        stream.avail_in = (unsigned)size;
        if (err == ERR_OK)
            err = drain(out, &stream, &rc);
    }
    if (err == ERR_OK &&
        (rc != Z_STREAM_END || stream.avail_in > 0 || out->taken < out->member->packed_bytes))
        err = inflate_failed(out->archive, out->member->array.spec.name, Z_DATA_ERROR);
    inflateEnd(&stream);
    return err;
}

enum err npz_extract(const char *path, const struct npz_member *member, int fd, struct why *why)
{
    struct archive archive;
    struct stat status;
    enum err err = open_archive(&archive, path, &status, why);
    if (err != ERR_OK)
        return err;
    struct extraction out = { .archive = &archive, .member = member, .fd = fd, .crc = crc32(0, NULL, 0) };
    err = member->deflated ? copy_inflated(&out) : copy_stored(&out);
    if (err == ERR_OK && (out.given != member->unpacked_bytes || out.crc != member->crc32))
        err = inflate_failed(&archive, member->array.spec.name, Z_DATA_ERROR);
    close(archive.fd);
    return err;
}

enum err npz_check(const char *path, const struct npz_member *member, struct why *why)
{
    return npz_extract(path, member, -1, why);
}
