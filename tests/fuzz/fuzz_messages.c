// SPDX-License-Identifier: Apache-2.0
#include "fuzz.h"
#include "messages.h"

#include <string.h>

/* What is decoded can be encoded, and that decodes and encodes to the same bytes. */
static void again(struct decoder *decoder, const struct message *message)
{
    uint8_t *first, *second;
    size_t first_size, second_size;
    struct why why;
    enum err err = message_encode(message, &first, &first_size);
    FUZZ_CHECK(err == ERR_OK);
    FUZZ_CHECK(decoder_decode(decoder, first, first_size, &message, &why) == ERR_OK);
    FUZZ_CHECK(message_encode(message, &second, &second_size) == ERR_OK);
    FUZZ_CHECK(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct message *message;
    struct why why = { "" };
    struct decoder *decoder = decoder_new();
    FUZZ_CHECK(decoder);
    enum err err = decoder_decode(decoder, data, size, &message, &why);
    if (err == ERR_OK)
        again(decoder, message);
    else
        FUZZ_CHECK(!message && why.text[0] != 0 && !strchr(why.text, '\n'));
    decoder_free(&decoder);
    return 0;
}
