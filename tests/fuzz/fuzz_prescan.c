// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "prescan.h"

#include <msgpack.h>

/* What passes the pre-scan, msgpack-c reads as one whole object, in memory for exactly the elements that were
 * counted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prescan found;
    struct why why = { "" };
    msgpack_zone zone;
    msgpack_object tree;
    size_t offset = 0;
    enum err err = prescan_check(data, size, &found, &why);
    if (err != ERR_OK) {
        FUZZ_CHECK((err == ERR_FORMAT || err == ERR_LIMIT) && why.text[0] != 0);
        return 0;
    }
    FUZZ_CHECK(found.depth <= DEPTH_MAX && found.elements <= size && found.elements <= ELEMENTS_MAX);
    FUZZ_CHECK(msgpack_zone_init(&zone, found.elements * sizeof tree));
    const void *first_chunk = zone.chunk_list.head;
    FUZZ_CHECK(msgpack_unpack((const char *)data, size, &offset, &zone, &tree) == MSGPACK_UNPACK_SUCCESS);
    FUZZ_CHECK(offset == size);
    FUZZ_CHECK(zone.chunk_list.head == first_chunk);
    msgpack_zone_destroy(&zone);
    return 0;
}
