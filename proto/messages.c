// SPDX-License-Identifier: Apache-2.0
#include "messages.h"

#include "arena.h"
#include "ensure.h"
#include "prescan.h"
#include "reader.h"
#include "tables.h"
#include "text.h"
#include "writer.h"

#include <stdlib.h>
#include <string.h>

enum {
    ARENA_BYTES_MAX = 32 << 20, /* the largest message that its table allows decodes into less */
    ZONE_BYTES_MIN = 64 << 10,
    BUFFER_BYTES = 512, /* the encoder's first guess: most messages are small, the large ones double it */
};

struct decoder {
    struct arena arena;
    msgpack_zone zone;
    size_t zone_bytes; /* of the zone's first chunk: a tree that fits allocates nothing */
    struct message message;
};

const char *message_name(enum message_type type)
{
    const struct tables_row *row = tables_find((uint64_t)type);
    return row ? row->name : "?";
}

struct decoder *decoder_new(void)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    arena_init(&decoder->arena, ARENA_BYTES_MAX);
    if (!msgpack_zone_init(&decoder->zone, ZONE_BYTES_MIN)) {
        free(decoder);
        return NULL;
    }
    decoder->zone_bytes = ZONE_BYTES_MIN;
    return decoder;
}

void decoder_free(struct decoder **decoder)
{
    if (!*decoder)
        return;
    arena_fini(&(*decoder)->arena);
    if ((*decoder)->zone_bytes > 0)
        msgpack_zone_destroy(&(*decoder)->zone);
    free(*decoder);
    *decoder = NULL;
}

/* An empty zone whose first chunk holds a tree of so many elements. */
static enum err prepare_zone(struct decoder *decoder, uint32_t elements, struct why *why)
{
    size_t needed = (size_t)elements * sizeof(msgpack_object);
    if (needed <= decoder->zone_bytes) {
        msgpack_zone_clear(&decoder->zone);
        return ERR_OK;
    }
    if (decoder->zone_bytes > 0)
        msgpack_zone_destroy(&decoder->zone);
    decoder->zone_bytes = msgpack_zone_init(&decoder->zone, needed + needed / 2) ? needed + needed / 2 : 0;
    return decoder->zone_bytes > 0 ? ERR_OK : why_set(why, ERR_MEMORY, "no memory for a message");
}

static enum err build_tree(struct decoder *decoder, const uint8_t *body, size_t size, msgpack_object *tree,
                           struct why *why)
{
    struct prescan prescan;
    size_t offset = 0;
    if (size > BODY_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "a body of %zu bytes; at most %d", size, BODY_BYTES_MAX);
    enum err err = prescan_check(body, size, &prescan, why);
    if (err == ERR_OK)
        err = prepare_zone(decoder, prescan.elements, why);
    if (err != ERR_OK)
        return err;
    switch (msgpack_unpack((const char *)body, size, &offset, &decoder->zone, tree)) {
    case MSGPACK_UNPACK_SUCCESS: return ERR_OK;
    case MSGPACK_UNPACK_NOMEM_ERROR: return why_set(why, ERR_MEMORY, "no memory for a message");
    default: return why_set(why, ERR_FORMAT, "the body is not msgpack");
    }
}

/* `[type, {...}]`: the row of the type, and the map. NULL if the tree is something else. */
static const struct tables_row *open_envelope(const msgpack_object *tree, const msgpack_object **map,
                                              struct why *why)
{
    bool is_pair = tree->type == MSGPACK_OBJECT_ARRAY && tree->via.array.size == 2;
    const msgpack_object *at = is_pair ? tree->via.array.ptr : NULL;
    if (!at || at[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        (void)why_set(why, ERR_FORMAT, "a body is not [type, {fields}]");
        return NULL;
    }
    *map = &at[1];
    const struct tables_row *row = tables_find(at[0].via.u64);
    if (!row)
        (void)why_set(why, ERR_FORMAT, "there is no message type %llu", (unsigned long long)at[0].via.u64);
    return row;
}

enum err decoder_decode(struct decoder *decoder, const uint8_t *body, size_t size,
                        const struct message **message, struct why *why)
{
    msgpack_object tree = { .type = MSGPACK_OBJECT_NIL };
    const msgpack_object *map = NULL;
    *message = NULL;
    arena_reset(&decoder->arena);
    enum err err = build_tree(decoder, body, size, &tree, why);
    if (err != ERR_OK)
        return err;
    const struct tables_row *row = open_envelope(&tree, &map, why);
    if (!row)
        return ERR_FORMAT;
    memset(&decoder->message, 0, sizeof decoder->message);
    decoder->message.type = row->type;
    struct reader reader = { .arena = &decoder->arena, .message = row->name, .why = why };
    reader_struct(&reader, row->table, map, &decoder->message.hello);
    if (reader.err == ERR_OK)
        *message = &decoder->message;
    return reader.err;
}

static enum err encode(const struct message *message, msgpack_sbuffer *buffer, struct why *why)
{
    const struct tables_row *row = tables_find((uint64_t)message->type);
    struct writer writer;
    if (!row)
        return why_set(why, ERR_USAGE, "no such message type");
    writer_init(&writer, buffer, why);
    if (msgpack_pack_array(&writer.packer, 2) || msgpack_pack_uint8(&writer.packer, (uint8_t)row->type))
        return why_set(why, ERR_MEMORY, "no memory for the encoded message");
    writer_struct(&writer, row->table, &message->hello);
    if (writer.err != ERR_OK)
        return writer.err;
    if (buffer->size > BODY_BYTES_MAX || writer.elements + 2 > ELEMENTS_MAX)
        return why_set(why, ERR_LIMIT, "%s: a body of %zu bytes and %llu elements is too large", row->name,
                       buffer->size, (unsigned long long)writer.elements);
    return ERR_OK;
}

enum err message_check(const struct message *message, struct why *why)
{
    msgpack_sbuffer buffer;
    msgpack_sbuffer_init(&buffer);
    enum err err = encode(message, &buffer, why);
    msgpack_sbuffer_destroy(&buffer);
    return err;
}

enum err message_encode(const struct message *message, uint8_t **body, size_t *size)
{
    struct why why = { "" };
    msgpack_sbuffer buffer = { .data = malloc(BUFFER_BYTES), .alloc = BUFFER_BYTES };
    *body = NULL;
    *size = 0;
    if (!buffer.data)
        return ERR_MEMORY;
    enum err err = encode(message, &buffer, &why);
    if (err == ERR_USAGE)
        ensure_failed(why.text, __FILE__, __LINE__);
    if (err == ERR_OK) {
        *body = (uint8_t *)buffer.data;
        *size = buffer.size;
    } else {
        free(buffer.data);
    }
    return err;
}

bool message_text_ok(const char *text, size_t max)
{
    size_t size = strnlen(text, max);
    return size < max && text_ok(text, size);
}

static uint64_t frames_of_results(const struct message_results *results)
{
    uint64_t frames = 0;
    for (uint32_t i = 0; i < results->results_count; i++)
        frames += results->results[i].frames;
    return frames;
}

enum err message_frames_check(const struct message *message, uint32_t frames_count, struct why *why)
{
    const struct tables_row *row = tables_find((uint64_t)message->type);
    uint64_t wanted = 0;
    ENSURE(row);
    switch (row->frames) {
    case TABLES_FRAMES_NONE: break;
    case TABLES_FRAMES_ONE: wanted = 1; break;
    case TABLES_FRAMES_MAY: wanted = frames_count > 0; break;
    case TABLES_FRAMES_IF_OK: wanted = message->piece.ok; break;
    case TABLES_FRAMES_SUM: wanted = frames_of_results(&message->results); break;
    case TABLES_FRAMES_INPUTS: wanted = message->infer.inputs_count; break;
    case TABLES_FRAMES_SHAPES: wanted = message->inferred.shapes_count; break;
    }
    if (frames_count == wanted)
        return ERR_OK;
    return why_set(why, ERR_FORMAT, "%s: %u payload frames where %llu belong", row->name, frames_count,
                   (unsigned long long)wanted);
}

void message_tensor_from_spec(const struct tensor_spec *spec, struct message_tensor *tensor)
{
    *tensor = (struct message_tensor){
        .name = spec->name,
        .dtype = (uint32_t)spec->dtype,
        .dims = (int64_t *)(uintptr_t)spec->dims, /* the encoder only reads them */
        .dims_count = spec->dims_count,
    };
}

enum err message_tensor_to_spec(const struct message_tensor *tensor, struct tensor_spec *spec,
                                struct why *why)
{
    *spec = (struct tensor_spec){ .dtype = (enum dtype)tensor->dtype, .dims_count = tensor->dims_count };
    if (tensor->dtype == DTYPE_NONE || tensor->dtype >= DTYPE_COUNT)
        return why_set(why, ERR_FORMAT, "tensor %s: unknown element type %u", tensor->name, tensor->dtype);
    if (tensor->dims_count > TENSOR_DIMS_MAX)
        return why_set(why, ERR_LIMIT, "tensor %s: %u axes; at most %d", tensor->name, tensor->dims_count,
                       TENSOR_DIMS_MAX);
    if (strnlen(tensor->name, sizeof spec->name) == sizeof spec->name)
        return why_set(why, ERR_LIMIT, "a tensor's name is longer than %d bytes", TENSOR_NAME_MAX - 1);
    memcpy(spec->name, tensor->name, strlen(tensor->name) + 1);
    if (tensor->dims_count > 0)
        memcpy(spec->dims, tensor->dims, tensor->dims_count * sizeof *spec->dims);
    return ERR_OK;
}
