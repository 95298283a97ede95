// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "npy.h"

#include <string.h>

static void check_member(const struct npz_member *member, uint64_t file_bytes)
{
    FUZZ_CHECK(member->packed_offset <= file_bytes &&
               member->packed_bytes <= file_bytes - member->packed_offset);
    if (member->deflated || member->array.row_bytes == 0)
        return;
    FUZZ_CHECK(member->array.offset <= file_bytes);
    FUZZ_CHECK(member->array.sample_count <= (file_bytes - member->array.offset) / member->array.row_bytes);
}

/* Members must lie within the archive; what is unpacked must have the promised size, or be refused. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct npz npz;
    struct why why = { "" };
    char path[32];
    uint64_t file_bytes;
    int64_t mtime_ns;
    int fd = fuzz_file(data, size, path);
    enum err err = npz_open(path, &npz, &file_bytes, &mtime_ns, &why);
    FUZZ_CHECK(err == ERR_OK || why.text[0] != 0);
    for (uint32_t i = 0; err == ERR_OK && i < npz.count; i++) {
        check_member(&npz.members[i], file_bytes);
        int out = memfd_create("unpacked", MFD_CLOEXEC);
        enum err extracted = npz_extract(path, &npz.members[i], out, &why);
        uint64_t unpacked = (uint64_t)lseek(out, 0, SEEK_END);
        FUZZ_CHECK(unpacked <= npz.members[i].unpacked_bytes);
        FUZZ_CHECK(extracted != ERR_OK || unpacked == npz.members[i].unpacked_bytes);
        close(out);
    }
    close(fd);
    return 0;
}
