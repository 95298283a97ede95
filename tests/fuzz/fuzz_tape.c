// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a recording: their checksums are made good first, or nothing behind them would be seen. */
#include "fuzz.h"
#include "tape.h"

#include <string.h>
#include <zlib.h>

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void mend(uint8_t *bytes, size_t size)
{
    const uint8_t *header_end = memmem(bytes, size, "\n# .\n", 5);
    size_t at = header_end ? (size_t)(header_end - bytes) + 5 : size;
    while (at + 8 < size) {
        uint32_t records = word_at(bytes + at);
        if (records == 0 || records > size - at - 8)
            return;
        uint32_t crc = (uint32_t)crc32(0, bytes + at + 8, records);
        for (unsigned i = 0; i < 4; i++)
            bytes[at + 4 + i] = (uint8_t)(crc >> 8 * i);
        at += 8 + records;
    }
}

/* What was read can be written, and is then read again: all that it borrows is there. */
static void write_again(struct tape_writer *writer, const struct tape_record *record)
{
    size_t size;
    if (record->type == TAPE_EVENT)
        tape_write_event(writer, record->now_us, &record->event);
    tape_take(writer, &size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tape_reader *reader;
    struct tape_record record;
    struct tape_writer writer;
    struct why why = { "" };
    enum tape_read read;
    uint8_t *bytes = malloc(size ? size : 1);
    FUZZ_CHECK(bytes);
    memcpy(bytes, data, size);
    mend(bytes, size);
    tape_writer_init(&writer);
    if (tape_reader_new(bytes, size, &reader, &why) == ERR_OK) {
        while ((read = tape_next(reader, &record, &why)) == TAPE_READ)
            write_again(&writer, &record);
        FUZZ_CHECK(read == TAPE_END || why.text[0]);
        FUZZ_CHECK(tape_offset(reader) <= size);
        tape_reader_free(&reader);
    }
    tape_writer_fini(&writer);
    free(bytes);
    return 0;
}
