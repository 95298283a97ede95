// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "tally.h"

#include <string.h>

/* What is accepted, packed and unpacked again, says the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tally tally, again;
    static uint8_t bytes[TALLY_BYTES_MAX];
    if (size > UINT32_MAX || !tally_unpack(&tally, data, (uint32_t)size))
        return 0;
    uint32_t packed = tally_pack(&tally, bytes);
    FUZZ_CHECK(packed <= TALLY_BYTES_MAX);
    FUZZ_CHECK(tally_unpack(&again, bytes, packed));
    FUZZ_CHECK(memcmp(&tally, &again, sizeof tally) == 0);
    return 0;
}
