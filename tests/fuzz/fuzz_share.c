// SPDX-License-Identifier: Apache-2.0
/* A row of the journal's table of tallies: the key's length, the key, the value. What is accepted, packed and
 * unpacked again, says the same. */
#include "fuzz.h"
#include "share.h"

#include <string.h>

static void again(const struct share *share)
{
    struct share second = { 0 };
    struct tally tally, other;
    char key[SHARE_KEY_MAX];
    uint8_t *value;
    size_t size;
    share_tally(share, NULL, 1, &tally);
    share_key(share, key);
    FUZZ_CHECK(share_pack(share, &tally, &value, &size) == ERR_OK);
    FUZZ_CHECK(share_unpack(&second, key, value, size) == ERR_OK);
    share_tally(&second, NULL, 1, &other);
    FUZZ_CHECK(share_mark(&tally) == share_mark(&other) && strcmp(share->device, second.device) == 0);
    share_fini(&second);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct share share = { 0 };
    size_t length = size ? data[0] : 0;
    char key[256];
    if (size == 0 || size - 1 < length)
        return 0;
    memcpy(key, data + 1, length);
    key[length] = 0;
    if (share_unpack(&share, key, data + 1 + length, size - 1 - length) == ERR_OK)
        again(&share);
    share_fini(&share);
    return 0;
}
